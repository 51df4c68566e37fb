// The cluster as a picture: clients, gateways and nodes as places, and messages as tokens on the links between them.
import { asButton, el, epochClass, epochOf, mayMove, svg } from "./parts.js";

const SHORT = { PromiseRequest: "Promise?", "Prepare(empty)": "Heartbeat", SessionOpened: "Session" };

/** A message in at most a few letters. */
export function tokenLabel(way) {
  const entries = /: entr(?:y|ies) ([\d–]+)/.exec(way.words);
  const upto = /durable up to (\d+)/.exec(way.words);
  const more = entries ? ` ${entries[1]}` : upto ? ` ≤${upto[1]}` : "";
  return (SHORT[way.name] ?? way.name) + more;
}

/** One cluster in one box. `pick(kind, what, from)` hears what is clicked: a node, gateway, client, message, held, link. */
export class Picture {
  constructor(box, pick) {
    this.box = box;
    this.pick = pick;
    this.places = new Map();
  }

  draw(answer, act, moves) {
    const focus = this.box.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    this.box.replaceChildren();
    const places = answer.state.device ? 0 : answer.state.nodes.length + answer.state.gateways.length;
    this.box.classList.toggle("crowded", places > 4);
    if (answer.state.device) return this.device(answer, act);
    const [width, height] = [Math.max(300, this.box.clientWidth), Math.max(260, this.box.clientHeight)];
    this.small = width < 480 || answer.state.nodes.length > 5;
    this.card = this.small ? [112, 54] : [140, 62];
    this.width = width;
    this.layout(answer, width, height);
    const title = `${answer.state.nodes.length} nodes, ${answer.state.network.length} messages on their way`;
    this.root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": title });
    this.links(answer);
    for (const node of answer.state.nodes) this.node(node);
    for (const gateway of answer.state.gateways) this.gateway(gateway);
    this.client(act);
    for (const node of answer.state.nodes) this.held(node);
    this.messages(answer.state.network);
    this.box.append(this.root);
    if (focus) this.root.querySelector(`[data-name="${CSS.escape(focus)}"]`)?.focus();
    if (moves && act && mayMove()) this.move(answer, act);
  }

  /** A place for each lane. */
  layout(answer, width, height) {
    const { nodes, gateways } = answer.state;
    this.places.clear();
    const tall = width < 560;
    const lead = tall ? 48 + (gateways.length ? (nodes.length > 3 ? 104 : 66) : 24) : gateways.length ? 236 : 132;
    this.places.set("client", tall ? [width / 2, 28] : [58, height / 2]);
    gateways.forEach((gateway, at) => {
      const part = (at + 1) / (gateways.length + 1);
      this.places.set(gateway.name, tall ? [width * part, 84] : [176, height * part]);
    });
    const [cardWidth, cardHeight] = this.card;
    const [left, top] = tall ? [4, lead] : [lead, 8];
    const held = 44;
    const [cx, cy] = [left + (width - left - 4) / 2, top + (height - top - held) / 2];
    const [rx, ry] = [(width - left - cardWidth) / 2 - 8, (height - top - held - cardHeight) / 2 - 4];
    nodes.forEach((node, at) => {
      const angle = -Math.PI / 2 + 2 * Math.PI * at / nodes.length;
      const alone = nodes.length === 1;
      // The lower two of three stand as low as there is room.
      const y = nodes.length === 3 && at > 0 ? 1 : Math.sin(angle);
      this.places.set(node.name, alone ? [cx, cy] : [cx + rx * Math.cos(angle), cy + ry * y]);
    });
  }

  at(name) { return this.places.get(name) ?? this.places.get("client"); }

  links(answer) {
    const { nodes, gateways, cut } = answer.state;
    const isCut = (a, b) => cut.some(([one, other]) => (one === a && other === b) || (one === b && other === a));
    const peers = [...nodes, ...gateways].map((peer) => peer.name);
    const link = (a, b, clickable) => {
      const [[x1, y1], [x2, y2]] = [this.at(a), this.at(b)];
      const lost = isCut(a, b);
      const group = svg("g", { class: lost ? "link cut" : "link", "data-name": `link ${a} ${b}` },
        svg("line", { class: "wide", x1, y1, x2, y2 }), svg("line", { class: "thin", x1, y1, x2, y2 }));
      const [mx, my] = [(x1 + x2) / 2, (y1 + y2) / 2];
      if (lost) group.append(svg("text", { x: mx, y: my + 5, class: "cross" }, "✂"));
      if (clickable) asButton(group, `Link ${a}–${b}${lost ? ", cut" : ""}`, (from) => this.pick("link", [a, b], from));
      this.root.append(group);
    };
    peers.forEach((a, at) => peers.slice(at + 1).forEach((b) => {
      if (!(a.startsWith("g") && b.startsWith("g"))) link(a, b, true);
    }));
    for (const to of gateways.length ? gateways : nodes) link("client", to.name, false);
  }

  node(node) {
    const [x, y] = this.at(node.name);
    const [w, h] = this.card;
    const role = node.down ? node.standing ?? "down" : node.role;
    const facts = node.down ? role : `${role}${node.serving ? ", serving" : ""}${node.proven ? "" : ", unproven"}`;
    const label = `${node.name}: ${facts}, epoch ${node.promised}`;
    const group = svg("g", {
      class: `node ${node.down ? "down" : role} ${epochClass(node.promised)}`, transform: `translate(${x - w / 2} ${y - h / 2})`,
      "data-name": node.name,
    });
    if (role === "primary") group.append(svg("rect", { class: "halo", x: -4, y: -4, width: w + 8, height: h + 8, rx: 13 }));
    group.append(
      svg("rect", { class: "card", width: w, height: h, rx: 9 }),
      svg("rect", { class: "stripe", width: 8, height: h, rx: 4 }),
      svg("text", { class: "name", x: 18, y: 23 }, node.name),
      svg("text", { class: "role", x: 44, y: 23 }, role),
      svg("text", { class: "fact", x: 18, y: h - 13 }, node.down ? node.hint ?? "click to wipe" : this.promise(node)),
    );
    const tag = node.tag ?? (!node.proven && !node.down ? "unproven" : null);
    if (tag) group.append(svg("text", { class: "tag", x: w - 8, y: 23 }, tag));
    asButton(group, label, (from) => this.pick("node", node, from)).setAttribute("aria-haspopup", "menu");
    group.append(svg("title", {}, node.down ?? label));
    this.root.append(group);
  }

  promise(node) {
    const kept = node.disk.superblocks.filter(Boolean).sort((a, b) => b.generation - a.generation)[0]?.promised ?? 0;
    const serves = node.serving ? (this.small ? " ●" : ", serving") : "";
    return kept === node.promised ? `epoch ${node.promised}${serves}` : `epoch ${node.promised}, disk ${kept}`;
  }

  gateway(gateway) {
    const [x, y] = this.at(gateway.name);
    const knows = gateway.down ?? (gateway.primary ? `${gateway.primary} e${gateway.epoch}` : "nobody");
    const group = svg("g", { class: gateway.down ? "gateway down" : "gateway", transform: `translate(${x - 38} ${y - 23})`, "data-name": gateway.name },
      svg("path", { class: "card", d: "M10 0 H66 L76 23 L66 46 H10 L0 23 Z" }),
      svg("text", { class: "name", x: 38, y: 20, "text-anchor": "middle" }, gateway.name),
      svg("text", { class: "fact", x: 38, y: 35, "text-anchor": "middle" }, gateway.down ? knows : `→ ${knows}`));
    const open = gateway.in_flight ? `, ${gateway.in_flight} requests open` : "";
    asButton(group, `Gateway ${gateway.name}: ${gateway.down ? "" : "knows of "}${knows}${open}`, (from) => this.pick("gateway", gateway, from));
    this.root.append(group);
  }

  client() {
    const [x, y] = this.at("client");
    const group = svg("g", { class: "client", transform: `translate(${x} ${y})`, "data-name": "client" },
      svg("circle", { class: "card", r: 25 }), svg("text", { class: "name", y: 4, "text-anchor": "middle" }, "client"));
    asButton(group, "The client", (from) => this.pick("client", null, from));
    this.root.append(group);
  }

  /** What waits for a sync stays at its node. */
  held(node) {
    const [x, y] = this.at(node.name);
    const shown = node.held.slice(0, 2);
    shown.forEach((way, at) => {
      const rest = at === 1 && node.held.length > 2 ? ` +${node.held.length - 2}` : "";
      const label = `‖ ${tokenLabel(way)} → ${way.to}${rest}`;
      const width = label.length * 7 + 14;
      const inside = Math.max(width / 2 + 4, Math.min(x, this.width - width / 2 - 4));
      const group = svg("g", { class: "held", transform: `translate(${inside} ${y + this.card[1] / 2 + 14 + at * 21})`,
        "data-name": `held ${node.name} ${at}` },
        svg("rect", { class: "token", x: -width / 2, y: -9, width, height: 18, rx: 9 }),
        svg("text", { y: 4, "text-anchor": "middle" }, label));
      asButton(group, `${node.name} holds back until its own sync returns: ${way.words}, for ${way.to}`,
        (from) => this.pick("held", { node, way }, from));
      group.append(svg("title", {}, `Waits for ${node.name}'s sync: ${way.words}`));
      this.root.append(group);
    });
  }

  messages(network) {
    const groups = new Map();
    for (const way of network) {
      const key = `${way.from} ${way.to}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(way);
    }
    const tokens = [...groups.values()].flatMap((ways) => {
      const shown = ways.length > 3 ? ways.slice(0, 3) : ways;
      return shown.map((way, at) => this.measure(way, at, at === 2 && ways.length > 3 ? ways.slice(2) : null));
    });
    this.part(tokens);
    for (const token of tokens) this.token(token);
  }

  /** Moves tokens apart, and off the nodes, until none hides another. */
  part(tokens) {
    const [w, h] = this.card;
    const cards = [...this.places].map(([name, [x, y]]) =>
      name.startsWith("n") ? { x, y, w: w + 10, h: h + 10 } : { x, y, w: 76, h: 50 });
    const overlap = (a, b) => [(a.w + b.w) / 2 + 3 - Math.abs(a.x - b.x), (a.h + b.h) / 2 + 3 - Math.abs(a.y - b.y)];
    for (let round = 0; round < 40; round++) {
      let moved = false;
      tokens.forEach((a, at) => {
        for (const b of tokens.slice(at + 1)) {
          const [ox, oy] = overlap(a, b);
          if (ox <= 0 || oy <= 0) continue;
          const up = a.y < b.y || (a.y === b.y && at % 2 === 0) ? 1 : -1;
          a.y -= up * oy / 2;
          b.y += up * oy / 2;
          moved = true;
        }
        for (const card of cards) {
          const [ox, oy] = overlap(a, card);
          if (ox <= 0 || oy <= 0) continue;
          if (ox < oy) a.x += a.x < card.x ? -ox : ox;
          else a.y += a.y < card.y && card.y - card.h / 2 > 26 ? -oy : oy;
          moved = true;
        }
        a.x = Math.max(a.w / 2, Math.min(a.x, this.width - a.w / 2));
      });
      if (!moved) return;
    }
  }

  /**
   * Where the n-th token of a link is. On a steep link the tokens stand one after the other, each direction in its own
   * half; on a flat one they pile up, each direction on its own side.
   */
  spot(from, to, at) {
    const [[x1, y1], [x2, y2]] = [this.at(from), this.at(to)];
    const [dx, dy] = [x2 - x1, y2 - y1];
    if (Math.abs(dy) < Math.abs(dx) * 0.4) {
      const side = dx > 0 ? -1 : 1;
      const part = 0.5;
      return [x1 + dx * part, y1 + dy * part + side * (14 + at * 24)];
    }
    const part = 0.34 + at * Math.min(0.16, 25 / Math.abs(dy));
    return [x1 + dx * part, y1 + dy * part];
  }

  /** Where a token goes, and how wide it is. `rest` are messages that it stands for. */
  measure(way, at, rest) {
    const [x, y] = this.spot(way.from, way.to, at);
    const [[x1, y1], [x2, y2]] = [this.at(way.from), this.at(way.to)];
    const turn = Math.round(Math.atan2(y2 - y1, x2 - x1) / (Math.PI / 4));
    const arrow = ["→", "↘", "↓", "↙", "←", "↖", "↑", "↗"][(turn + 8) % 8];
    const label = rest ? `${arrow} +${rest.length} more` : `${arrow} ${tokenLabel(way)}`;
    return { way, rest, label, x, y, w: label.length * 7.4 + 16, h: 20 };
  }

  token({ way, rest, label, x, y, w }) {
    const group = svg("g", { class: `message ${epochClass(epochOf(way.words))}`, transform: `translate(${x} ${y})`,
      "data-name": `message ${way.which}` },
      svg("rect", { class: "token", x: -w / 2, y: -10, width: w, height: 20, rx: 10 }),
      svg("text", { y: 4, "text-anchor": "middle" }, label));
    const words = rest ? `${rest.length} more messages from ${way.from} to ${way.to}`
      : `Message ${way.from} to ${way.to}: ${way.words}`;
    asButton(group, words, (from) => this.pick(rest ? "messages" : "message", rest ?? way, from));
    group.setAttribute("aria-haspopup", "menu");
    group.append(svg("title", {}, words));
    this.root.append(group);
  }

  /** What the step moved, moves. */
  move(answer, act) {
    const mark = act.mark;
    if (!mark || act.skipped) return;
    if (mark.kind === "at") this.pulse(answer.lanes[mark.at]);
    if (mark.kind === "arrow" || mark.kind === "lost") this.fly(answer.lanes[mark.from], answer.lanes[mark.to], mark.kind === "lost");
  }

  /** A ring where something happens. */
  pulse(name) {
    const [x, y] = this.at(name);
    const ring = svg("circle", { class: "pulse", cx: x, cy: y, r: 40 });
    this.root.append(ring);
    return ring.animate([{ opacity: 0.9, r: 30 }, { opacity: 0, r: 78 }], { duration: 500 }).finished.then(() => ring.remove());
  }

  /** A message flies; one that is lost stops half way. */
  fly(from, to, lost = false) {
    const [[x1, y1], [x2, y2]] = [this.at(from), this.at(to)];
    const part = lost ? 0.5 : 1;
    const dot = svg("circle", { class: lost ? "flying lost" : "flying", r: 7 });
    this.root.append(dot);
    const end = `translate(${x1 + (x2 - x1) * part}px, ${y1 + (y2 - y1) * part}px)`;
    return dot.animate([{ transform: `translate(${x1}px, ${y1}px)` }, { transform: end }], { duration: 420, easing: "ease-in-out" })
      .finished.then(() => dot.remove());
  }

  /** A line from one place to another, until the next picture is drawn. */
  path(from, to) {
    const [[x1, y1], [x2, y2]] = [this.at(from), this.at(to)];
    // Below the places.
    this.root.prepend(svg("line", { class: "told-path", x1, y1, x2, y2 }));
  }

  /** A device alone: its parts, a letter for each sector. */
  device(answer, act) {
    const strip = act?.state?.[0] ?? answer.state.device[0] ?? "";
    const parts = strip.split(/ (?=B|log |data )/);
    const box = el("div", { class: "device" }, el("h2", {}, "One engine on one disk"));
    for (const part of parts) {
      const found = /^(A|B|log|data) ?(.*)$/.exec(part);
      const [, name, letters] = found ?? [null, "disk", part];
      const long = { A: "superblock A", B: "superblock B", log: "log ring", data: "data" }[name] ?? name;
      box.append(el("p", { class: "part" }, el("b", {}, long),
        el("span", { class: "sectors" }, [...letters].map((letter) => el("i", { class: { ".": "empty", "~": "cached", "#": "", s: "stale" }[letter] ?? "odd" }, letter)))));
    }
    box.append(el("p", { class: "hint" }, strip ? "A sector each, after this step: # on the medium, ~ in the cache only (unsynced), t torn, s stale, . empty."
      : "Take a step: the disk is shown after it."));
    const pick = el("button", { type: "button", class: "primary", click: () => this.pick("device", null, pick) }, "What can happen next…");
    box.append(pick);
    this.box.append(box);
  }
}
