// What both drawings share: a canvas as large as its box, in the colours of the style sheet.

export class Pen {
  constructor(canvas) {
    this.canvas = canvas;
    this.colours = new Map();
  }

  /** Empties the canvas, and gives its size; `null` if it has none. */
  begin() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (width === 0 || height === 0) return null;
    const scale = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.canvas.width !== wide || this.canvas.height !== high) Object.assign(this.canvas, { width: wide, height: high });
    this.on = this.canvas.getContext("2d");
    this.on.setTransform(scale, 0, 0, scale, 0, 0);
    this.on.clearRect(0, 0, width, height);
    this.on.font = "12px system-ui, sans-serif";
    this.on.textBaseline = "middle";
    this.colours.clear();
    return [width, height];
  }

  /** A custom property of the page, such as `--ink`. */
  colour(name) {
    if (!this.colours.has(name)) this.colours.set(name, getComputedStyle(this.canvas).getPropertyValue(name).trim());
    return this.colours.get(name);
  }

  rect(x, y, width, height, colour) {
    this.on.fillStyle = this.colour(colour);
    this.on.fillRect(x, y, width, height);
  }

  line(x1, y1, x2, y2, colour, width = 1) {
    this.on.strokeStyle = this.colour(colour);
    this.on.lineWidth = width;
    this.on.beginPath();
    this.on.moveTo(x1, y1);
    this.on.lineTo(x2, y2);
    this.on.stroke();
  }

  text(words, x, y, colour, align = "left") {
    this.on.fillStyle = this.colour(colour);
    this.on.textAlign = align;
    this.on.fillText(words, x, y);
  }
}

/** The custom property of an epoch's colour. */
export function epochColour(epoch) { return epoch > 0 ? `--e${(epoch - 1) % 6 + 1}` : "--faint"; }
