// A line of steps as text, and as the fragment of an address. Nothing here draws.
//
// A line is { notes, settings, steps, without, at }. `crates/web/src/url.rs` reads and writes the same address.

const SETTING_WORDS = ["cluster", "gateways", "frames", "pieces", "resend", "judge", "device"];

/** Reads a schedule or a story; a line without `> ` before it counts as one with it. */
export function readText(text) {
  const line = { notes: [], settings: [], steps: [], without: [], at: 0 };
  for (const raw of text.split("\n")) {
    if (raw.startsWith("#")) line.notes.push(raw.slice(1).trim());
    else if (raw.trim() === "" || raw.startsWith("    ")) continue;
    else {
      const step = raw.replace(/^>\s*/, "").trim();
      const isSetting = line.steps.length === 0 && SETTING_WORDS.includes(step.split(/\s+/)[0]);
      (isSetting ? line.settings : line.steps).push(step);
    }
  }
  line.at = line.steps.length;
  return line;
}

export function writeText(line) {
  const rows = line.notes.map((note) => `# ${note}`.trimEnd());
  return [...rows, ...[...line.settings, ...line.steps].map((step) => `> ${step}`)].join("\n") + "\n";
}

/** The fragment of an address, without `#`. */
export function writeFragment(line) {
  const plain = (text) => encodeURIComponent(text)
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
  const parts = [`s=${[...line.settings, ...line.steps].map(plain).join(";")}`];
  if (line.without.length > 0) parts.push(`without=${line.without.join(",")}`);
  if (line.at < line.steps.length) parts.push(`at=${line.at}`);
  return parts.join("&");
}

/** What a fragment holds: the line, if there is one, and the token. */
export function readFragment(fragment) {
  const parts = new Map(fragment.replace(/^#/, "").split("&").map((part) => {
    const at = part.indexOf("=");
    return at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
  }));
  const token = parts.get("t") || null;
  if (!parts.get("s")) return { token, line: null };
  const decode = (text) => {
    try { return decodeURIComponent(text.replaceAll("+", " ")); } catch { return text; }
  };
  const line = readText(parts.get("s").split(";").map((step) => `> ${decode(step)}`).join("\n"));
  line.without = (parts.get("without") || "").split(",").filter(Boolean);
  const at = Number.parseInt(parts.get("at") ?? "", 10);
  if (Number.isInteger(at)) line.at = Math.max(0, Math.min(at, line.steps.length));
  return { token, line };
}
