// The running cluster, in the form in which the picture and the logs are drawn. Nothing here draws, and nothing asks.

const isNode = (member) => member.name.startsWith("n");

/** Why a member is not at work; null if it is. */
function downOf(member) {
  if (member.pid === null) return [member.ended ? `ended: ${member.ended}` : "not started", "down", "click to restart"];
  if (member.paused) return ["paused: its process stands still", "paused", "click to resume"];
  return null;
}

function liveCells(look) {
  const cells = [];
  look.runs.forEach(([from, epoch], at) => {
    const end = look.runs[at + 1]?.[0] ?? look.last + 1;
    for (let seq = from; seq < end; seq++) {
      const standing = seq <= look.applied ? "applied" : seq <= look.committed ? "committed" : seq <= look.durable ? "durable" : "tentative";
      cells.push({ seq, epoch, standing });
    }
  });
  return cells;
}

const NOTHING = {
  role: "backup", serving: false, proven: true, promised: 0, base: 0, last: 0, runs: [], durable: 0, committed: 0, applied: 0, held: [], waiting: 0,
  unsynced: false, keys: 0, checkpoint: 0, stored: 0, wal: [0, 0], units: [0, 0, 0], claims: [0, 0], sync_micros: 0, syncs: 0, written: 0,
  values: [0, 0, 0], told: [], recording: false,
};

function liveNode(member) {
  const look = member.looks ?? NOTHING;
  const [down, standing, hint] = downOf(member) ?? [null, null, null];
  const tag = member.isolated ? "isolated" : !down && member.stale ? "busy" : null;
  return {
    name: member.name, down, standing, hint, tag, role: look.role, serving: look.serving, proven: look.proven, promised: look.promised,
    base: look.base, log: liveCells(look), look, member,
    held: down ? [] : look.held.map(([to, name]) => ({ to, name, words: name })),
    disk: { superblocks: [{ generation: 1, promised: look.stored, checkpoint: look.checkpoint }] },
  };
}

function liveGateway(member) {
  const look = member.looks;
  const shard = look?.shards?.[0] ?? null;
  const down = downOf(member);
  return { name: member.name, down: down?.[1] ?? null, epoch: shard?.epoch ?? 0, primary: shard?.primary ?? null, in_flight: look?.in_flight ?? 0, look, shard, member };
}

/** An answer as the lab gives it, of the members as they show themselves, or did when they were last seen. */
export function liveAnswer(members) {
  const nodes = members.filter(isNode).map((member) => liveNode(member));
  const cut = nodes.filter((node) => node.member.isolated).flatMap((node) => members.filter((other) => other.name !== node.name)
    .map((other) => [node.name, other.name]));
  const gateways = members.filter((member) => !isNode(member)).map((member) => liveGateway(member));
  // A number of five digits is wider than its cell.
  const wide = nodes.some((node) => node.look.last >= 10000);
  return { wide, state: { nodes, gateways, network: [], cut } };
}

/** Everything that gateways saw of changes of primaries, each once, the latest first. */
export function takeoversOf(members) {
  const all = new Map();
  for (const member of members) {
    for (const one of member.looks?.takeovers ?? []) {
      const key = `${one.shard} ${one.epoch}`;
      // The gateway that saw it first knows the cause.
      if (!all.has(key) || one.at < all.get(key).at) all.set(key, { ...one, seen: member.name });
    }
  }
  return [...all.values()].sort((a, b) => b.at - a.at);
}

/** What the processes told, and what was done to them from this page; the latest first. */
export function linesOf(members, acts) {
  return members.flatMap((member) => (member.looks?.told ?? []).map(([n, at, text]) => ({ n, at, text, name: member.name }))).concat(acts)
    .sort((a, b) => b.at - a.at || b.n - a.n);
}

/** How things stand, as a sentence, and whether that is well. */
export function verdictOf({ nodes, gateways }, shard) {
  const leader = nodes.find((node) => !node.down && node.role === "primary" && node.serving);
  const absent = [...nodes, ...gateways].filter((one) => one.down).map((one) => `${one.name} is ${one.standing ?? one.down}`)
    .concat(nodes.filter((node) => node.member.isolated).map((node) => `${node.name} is cut off`));
  const rest = absent.length ? ` ${absent.join(", ")}.` : "";
  const known = gateways.find((gateway) => !gateway.down && gateway.shard);
  if (known && !known.primary) {
    const suspected = known.shard.suspected;
    const why = suspected ? `: ${suspected[0]} was given up, ${suspected[1]}` : "";
    return [`${known.name} knows of no primary of shard ${shard}${why}.${rest}`, "plain"];
  }
  if (!leader) return [`No node serves shard ${shard}.${rest}`, "plain"];
  const followers = nodes.filter((node) => !node.down && node.role === "backup" && node.look.follows === leader.name && node.promised === leader.promised);
  const follow = followers.length ? ` ${followers.map((node) => node.name).join(" and ")} ${followers.length === 1 ? "follows" : "follow"}.` : "";
  // A write needs a majority, the primary included.
  const need = Math.floor(nodes.length / 2) + 1;
  const spare = absent.length && followers.length + 1 === need ? " If one more node fails, writes wait." : "";
  return [`${leader.name} serves shard ${shard} in epoch ${leader.promised}.${follow}${rest}${spare}`, absent.length ? "plain" : "good"];
}
