// Lanes from left to right, time from top to bottom, one row for each event that is shown. Only the rows in the window
// are drawn, so a hundred thousand are as quick as a hundred.

const ROW = 20;
const LANE_WIDTH = 64;
const LEFT = 34;
const HEAD = 24;
const INK = "#1b1b1b";
const FAINT = "#595959";
const CHOSEN = "#1d4ed8";
const TINTS = ["#ffffff", "#e8f1ff", "#fff3d6", "#e6f6e6", "#fde8ef", "#eee8fb", "#e2f5f5", "#f4eee0"];

/** A run on a canvas that stays in place while an empty box scrolls. */
export class Lanes {
  constructor(run, parent, choose) {
    this.run = run;
    this.chosen = 0;
    this.marked = null;
    this.pinned = -1;
    const box = document.createElement("section");
    box.className = "run";
    this.scroll = document.createElement("div");
    this.scroll.className = "scroll";
    this.scroll.tabIndex = 0;
    this.scroll.setAttribute("role", "group");
    this.scroll.setAttribute("aria-label", "Lanes and messages; the text of the chosen event is read out");
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.spacer = document.createElement("div");
    this.spacer.className = "spacer";
    this.scroll.append(this.canvas, this.spacer);
    box.append(this.scroll);
    parent.append(box);
    this.scroll.addEventListener("scroll", () => this.draw());
    this.canvas.addEventListener("click", (event) => {
      const place = Math.floor((event.offsetY - HEAD + this.scroll.scrollTop) / ROW);
      if (place >= 0 && place < run.shown.length) choose(run.shown[place]);
    });
    new ResizeObserver(() => this.draw()).observe(this.scroll);
  }

  /** Brings the chosen event into the window. */
  reveal() {
    const top = this.run.place(this.chosen) * ROW;
    const height = this.scroll.clientHeight - HEAD - ROW;
    this.spacer.style.height = `${this.run.shown.length * ROW + HEAD + ROW}px`;
    if (top < this.scroll.scrollTop || top > this.scroll.scrollTop + height - ROW) {
      this.scroll.scrollTop = Math.max(0, top - height / 2);
    }
    this.draw();
  }

  x(lane) { return LEFT + lane * LANE_WIDTH + LANE_WIDTH / 2; }

  draw() {
    const { run, scroll, canvas } = this;
    const [width, height] = [scroll.clientWidth, scroll.clientHeight];
    if (width === 0 || height === 0) return;
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== width * scale || canvas.height !== height * scale) {
      canvas.width = width * scale;
      canvas.height = height * scale;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const first = Math.floor(scroll.scrollTop / ROW);
    const last = Math.min(run.shown.length, first + Math.ceil(height / ROW) + 1);
    this.top = HEAD - scroll.scrollTop;
    this.tints(pen, first, last);
    pen.strokeStyle = FAINT;
    pen.lineWidth = 1;
    run.lanes.forEach((_, lane) => line(pen, this.x(lane), HEAD, this.x(lane), height));
    for (let place = first; place < last; place++) this.row(pen, place, width);
    this.leaving(pen, first, last);
    pen.fillStyle = "#efefef";
    pen.fillRect(0, 0, width, HEAD);
    pen.fillStyle = INK;
    pen.textAlign = "center";
    run.lanes.forEach((name, lane) => pen.fillText(name, this.x(lane), HEAD / 2));
    pen.textAlign = "left";
  }

  y(place) { return this.top + place * ROW + ROW / 2; }

  /** A lane's ground tells its epoch, and a label where it changes. */
  tints(pen, first, last) {
    if (first >= last) return;
    const epochs = this.run.epochs(this.run.shown[first]);
    for (let place = first; place < last; place++) {
      const event = this.run.event(this.run.shown[place]);
      const changed = event.epoch && (event.epoch !== epochs[event.lane] || place === first);
      if (event.epoch) epochs[event.lane] = event.epoch;
      epochs.forEach((epoch, lane) => {
        if (!epoch) return;
        pen.fillStyle = TINTS[1 + (epoch - 1) % (TINTS.length - 1)];
        pen.fillRect(this.x(lane) - LANE_WIDTH / 2, this.y(place) - ROW / 2, LANE_WIDTH, ROW);
      });
      if (changed) {
        pen.fillStyle = INK;
        pen.fillText(`e${event.epoch}`, this.x(event.lane) + 10, this.y(place));
      }
    }
  }

  row(pen, place, width) {
    const at = this.run.shown[place];
    const event = this.run.event(at);
    const y = this.y(place);
    const chosen = at === this.chosen;
    const marked = !this.marked || this.marked.has(at);
    if (chosen) {
      pen.fillStyle = "#dbe7ff";
      pen.fillRect(this.x(this.run.lanes.length) - LANE_WIDTH / 2, y - ROW / 2, width, ROW);
    }
    pen.strokeStyle = pen.fillStyle = chosen ? CHOSEN : marked ? INK : FAINT;
    pen.lineWidth = chosen ? 2 : 1;
    if (event.from >= 0 && event.from !== event.lane) {
      this.arrow(pen, this.x(event.from), y, this.x(event.lane), y, event.lost);
    }
    for (const parent of this.run.messages.get(at) || []) this.message(pen, parent, at, place);
    pen.beginPath();
    pen.arc(this.x(event.lane), y, chosen ? 5 : 3, 0, 7);
    if (event.mechanism) pen.fill(); else pen.stroke();
    if (at === this.pinned) pen.fillText("pinned", 2, y);
    pen.fillStyle = marked ? INK : FAINT;
    pen.fillText(event.sentence, this.x(this.run.lanes.length) - LANE_WIDTH / 2 + 6, y);
  }

  /** From the event that sent it. */
  message(pen, parent, at, place) {
    const from = this.run.place(parent);
    if (this.run.shown[from] !== parent) return;
    this.arrow(pen, this.x(this.run.lane(parent)), this.y(from), this.x(this.run.lane(at)), this.y(place), false);
  }

  /** Messages that arrive below the window. */
  leaving(pen, first, last) {
    pen.strokeStyle = pen.fillStyle = FAINT;
    for (let place = first; place < last; place++) {
      const at = this.run.shown[place];
      for (const child of this.run.children.get(at) || []) {
        const end = this.run.place(child);
        const came = (this.run.messages.get(child) || []).includes(at);
        if (end >= last && came && this.run.shown[end] === child) this.message(pen, at, child, end);
      }
    }
  }

  arrow(pen, x0, y0, x1, y1, lost) {
    const angle = Math.atan2(y1 - y0, x1 - x0);
    const [endX, endY] = lost ? [(x0 + x1) / 2, (y0 + y1) / 2] : [x1 - 4 * Math.cos(angle), y1 - 4 * Math.sin(angle)];
    line(pen, x0, y0, endX, endY);
    if (lost) {
      line(pen, endX - 4, endY - 4, endX + 4, endY + 4);
      line(pen, endX - 4, endY + 4, endX + 4, endY - 4);
      return;
    }
    for (const side of [0.5, -0.5]) {
      line(pen, endX, endY, endX - 7 * Math.cos(angle + side), endY - 7 * Math.sin(angle + side));
    }
  }
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}
