// The program as a WebAssembly module: text in, text out. `crates/web/src/door.rs` is the other side.

export class Core {
  constructor(module) {
    this.module = module;
    this.live = null;
  }

  /** Calls `play`, `states` or `simulate`. Throws if the module has come to its end: the next call begins with a new one. */
  ask(name, question) {
    this.live ??= new WebAssembly.Instance(this.module).exports;
    const { memory, room, told } = this.live;
    const bytes = new TextEncoder().encode(question);
    try {
      const place = room(bytes.length) >>> 0;
      new Uint8Array(memory.buffer, place, bytes.length).set(bytes);
      const length = this.live[name]() >>> 0;
      // Memory may have grown, and its buffer with it.
      return new TextDecoder().decode(new Uint8Array(memory.buffer, told() >>> 0, length));
    } catch (error) {
      this.live = null;
      throw error;
    }
  }
}
