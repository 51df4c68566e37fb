// Parses an image with cutaway.ksy and prints what it found as JSON. Needs the packages kaitai-struct-compiler,
// kaitai-struct and js-yaml: `NODE_PATH=.../node_modules node docs/format/parse.js IMAGE`.
const fs = require('fs'), path = require('path');
const { load } = require('js-yaml');
const Compiler = require('kaitai-struct-compiler');
const KaitaiStream = require('kaitai-struct/KaitaiStream');

const description = load(fs.readFileSync(path.join(__dirname, 'cutaway.ksy'), 'utf8'));

async function main(image) {
  const compiler = typeof Compiler === 'function' ? new Compiler() : Compiler;
  const sources = await compiler.compile('javascript', description, null, false);
  const text = Object.values(sources)[0];
  const module = { exports: {} };
  new Function('module', 'exports', 'require', text)(module, module.exports, require);
  const Cutaway = module.exports.Cutaway || module.exports;
  const bytes = fs.readFileSync(image);
  const parsed = new Cutaway(new KaitaiStream(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
  const plain = (value) => typeof value === 'bigint' ? Number(value) : value;
  const utf8 = (value) => value ? Buffer.from(value).toString() : '';
  const valueOf = (named) =>
    utf8(Buffer.concat(named.where.map((extent) => Buffer.from(extent.part))).subarray(0, named.valueBytes));
  const slot = (s) => ({ is_one: s.isOne, generation: plain(s.generation), life: plain(s.life), standing: s.standing });
  const records = [];
  if (parsed.wal) {
    for (const sector of parsed.wal.sectors) {
      for (const r of sector.records.filter((r) => r.isOne && r.body.whole)) {
        const put = r.body.kind === 1;
        records.push({
          lsn: plain(r.body.lsn), kind: r.body.kind, seq: plain(r.body.seq), key: utf8(r.body.key),
          value: put ? valueOf(r.body) : null,
        });
      }
    }
  }
  const c = parsed.checkpoint;
  const checkpoint = c && c.piece && {
    seq: plain(c.seq), host_state: utf8(c.piece.hostState),
    items: c.piece.items.map((item) => ({ key: utf8(item.key), version: plain(item.version), value: valueOf(item) })),
  };
  console.log(JSON.stringify({ slots: [slot(parsed.slotA), slot(parsed.slotB)], records, checkpoint }));
}

main(process.argv[2]).catch((error) => { console.error(error); process.exit(1); });
