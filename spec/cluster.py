"""The cluster of Cutaway.tla for z3: state, actions, and the lemmas of the inductive invariant.

docs/spec.md says what is abstracted. A state is a set of functions from epochs and seqs (integers, without bound) to
entries, numbers and truth values. Replicas are 0..n-1, so a majority is a count. An action takes a state and gives its
guard and the state after it; what changes is a Python closure over what was before, so there is no second copy of the
symbols. Names are those of Cutaway.tla.
"""
import copy
from z3 import *  # noqa

BACKUP, CANDIDATE, PRIMARY = 0, 1, 2
Entry = DeclareSort("Entry")
epoch_of = Function("epoch", Entry, IntSort())
I, B = IntSort(), BoolSort()


def most(a, b):
    return If(a < b, b, a)


def least(a, b):
    return If(a < b, a, b)


def at_most(a, b):
    return Or(a[0] < b[0], And(a[0] == b[0], a[1] <= b[1]))


class Log:
    """A sequence of entries: `at` from 1 to `end`."""

    def __init__(self, at, end):
        self.at, self.end = at, end

    def epoch(self, s):
        return epoch_of(self.at(s))

    def tail(self):
        return (If(self.end == 0, IntVal(0), self.epoch(self.end)), self.end)

    def upto(self, s):
        return Log(self.at, s)

    def then(self, other, end):
        """This log, and behind it what `other` has up to `end`."""
        return Log(lambda s: If(s <= self.end, self.at(s), other.at(s)), end)

    def has(self, epoch, s):
        return And(s <= self.end, self.epoch(s) == epoch)


def raised(f, at, value):
    """The function f, at one place at least `value`."""
    return lambda e: If(e == at, most(f(e), value), f(e))


def also(f, at):
    return lambda e: Or(f(e), e == at)


class State:
    """Before: symbols. After: what an action made of them."""

    def __init__(self, n):
        self.n, nodes = n, range(n)
        const = lambda name: [Int(f"{name}{i}") for i in nodes]
        fun = lambda name, *sorts: [Function(f"{name}{i}", *sorts) for i in nodes]
        pair = lambda name, *sorts: {(i, j): Function(f"{name}{i}_{j}", *sorts) for i in nodes for j in nodes}
        self.promise, self.stored, self.role = const("promise"), const("stored"), const("role")
        self.durable, self.commit = const("durable"), const("commit")
        self.applied, self.base = const("applied"), const("base")
        self.owed = list(zip(const("owed_epoch"), const("owed_seq")))
        # The log, and the one log of the device that the next crash leaves (one of Cutaway.tla's `disk`, guessed).
        self.log = [Log(f, e) for f, e in zip(fun("log", I, Entry), const("end"))]
        self.disk = [Log(f, e) for f, e in zip(fun("disk", I, Entry), const("disk_end"))]
        self.vote = {(i, j): Bool(f"vote{i}_{j}") for i in nodes for j in nodes}
        self.vote_tail = {(i, j): (Int(f"vote_epoch{i}_{j}"), Int(f"vote_seq{i}_{j}")) for i in nodes for j in nodes}
        self.match = {(i, j): Int(f"match{i}_{j}") for i in nodes for j in nodes}
        # Promised from i to j in an epoch: waiting, said, and the tail in it.
        self.promise_held, self.promised = pair("promise_held", I, B), pair("promised", I, B)
        self.promised_tail = {k: (a, b) for (k, a), b in
                              zip(pair("tail_epoch", I, I).items(), pair("tail_seq", I, I).values())}
        # PrepareOk of i in an epoch, up to which seq: waiting, waiting and synced, said.
        self.ack_held, self.ack_synced = fun("ack_held", I, I), fun("ack_synced", I, I)
        self.ack_said = fun("ack_said", I, I)
        # said.leads: who led an epoch, and the log and commit point that it had last.
        self.led = fun("led", I, B)
        self.lead_at, self.lead_end = Function("lead", I, I, Entry), Function("lead_end", I, I)
        self.lead_commit = Function("lead_commit", I, I)
        # said.states: up to where a primary of an epoch sent a state.
        self.sent = Function("sent", I, I)
        # What was ever committed, and by which count: the epoch, and the entry of that epoch that was counted.
        self.known = Log(Function("committed", I, Entry), Int("committed_end"))
        self.by_epoch, self.by_top = Function("by_epoch", I, I), Function("by_top", I, I)
        self.shown = Function("shown", I, I, Entry, B)

    def nodes(self):
        return range(self.n)

    def next(self):
        s = copy.copy(self)
        for k, v in vars(self).items():
            if isinstance(v, (list, dict)):
                setattr(s, k, copy.copy(v))
        return s

    def majority(self, of):
        return Sum([If(of(m), 1, 0) for m in self.nodes()]) * 2 > self.n

    def lead(self, e):
        return Log(lambda s: self.lead_at(e, s), self.lead_end(e))

    def led_by_one(self, e):
        return Or([self.led[m](e) for m in self.nodes()])

    def promises(self, m, to, e):
        return Or(self.promise_held[m, to](e), self.promised[m, to](e))

    def acked(self, m, e):
        return most(self.ack_held[m](e), self.ack_durable(m, e))

    def ack_durable(self, m, e):
        return most(self.ack_synced[m](e), self.ack_said[m](e))

    def voted_tail(self, n):
        t = self.log[n].tail()
        return tuple(If(at_most(self.owed[n], t), x, y) for x, y in zip(t, self.owed[n]))

    def dead(self, e, s):
        """The entry of epoch e at s is never committed by its primary: a majority has promised more without it."""
        return self.majority(lambda m: And(self.stored[m] > e, self.acked(m, e) < s))

    def own(self, e, s):
        """The primary of e appended an entry at s."""
        return And(self.led_by_one(e), s >= 1, s <= self.lead_end(e), self.lead(e).epoch(s) == e)

    def begin(self, all_):
        """Init: empty devices, nothing said."""
        zero = [x for n in self.nodes() for x in (
            self.promise[n], self.stored[n], self.role[n], self.durable[n], self.commit[n], self.applied[n],
            self.base[n], *self.owed[n], self.log[n].end, self.disk[n].end)]
        zero += [*self.match.values(), self.known.end]
        never = lambda e: And(
            [Not(f(e)) for f in (*self.led, *self.promised.values(), *self.promise_held.values())] +
            [f(e) == 0 for f in (*self.ack_held, *self.ack_synced, *self.ack_said)] +
            [f(e) == 0 for f in (self.sent, self.lead_end, self.lead_commit)])
        return [x == 0 for x in zero] + [Not(v) for v in self.vote.values()] + [
            all_("e", never), all_("esx", lambda e, s, x: Not(self.shown(e, s, x)))]

    # What several actions do.
    def back_up(self, n):
        self.role[n] = IntVal(BACKUP)
        for m in self.nodes():
            self.vote[n, m], self.match[n, m] = BoolVal(False), IntVal(0)

    def drop_held(self, n):
        for m in self.nodes():
            self.promise_held[n, m] = lambda e: BoolVal(False)
        self.ack_held[n] = self.ack_synced[n] = lambda e: IntVal(0)


class Actions:
    """Every action of replica 0, its peer being 0 or 1: the rest is the same with other names."""

    def __init__(self, state, all_, without=()):
        self.st, self.all_, self.without, self.asked = state, all_, set(without), set()

    def on(self, id):
        self.asked.add(id)
        return id not in self.without

    def clause(self, id, guard, else_=True):
        return guard if self.on(id) else else_

    def fence(self, n, e):
        return self.clause("epoch-fence", e >= self.st.promise[n])

    def durable_promise(self, n, e):
        return self.clause("durable-promise", e <= self.st.stored[n])

    def promise_majority(self, of):
        return self.st.majority(of) if self.on("promise-majority") else Or([of(m) for m in self.st.nodes()])

    def stand(self, n, peer):
        a, e = self.st, Int("e!")
        b = a.next()
        b.role[n], b.promise[n] = IntVal(CANDIDATE), e
        for m in a.nodes():
            b.vote[n, m] = BoolVal(m == n)
        b.vote_tail[n, n] = a.log[n].tail()
        return And(a.role[n] == BACKUP, at_most(a.owed[n], a.log[n].tail()), e > a.promise[n]), b

    def grant_promise(self, n, peer):
        a, e, b = self.st, Int("e!"), self.st.next()
        tail = a.voted_tail(n) if self.on("tail-with-promise") else (Int("te!"), Int("ts!"))
        b.back_up(n)
        b.promise[n] = e
        b.promise_held[n, peer] = also(a.promise_held[n, peer], e)
        old = a.promised_tail[n, peer]
        b.promised_tail[n, peer] = tuple((lambda x, f: lambda i: If(i == e, x, f(i)))(x, f) for x, f in zip(tail, old))
        return e > a.promise[n] if self.on("one-candidate-per-epoch") else e >= a.promise[n], b

    def store_promise(self, n, peer):
        b = self.st.next()
        b.stored[n] = most(self.st.stored[n], self.st.promise[n])
        return True, b

    def release_promise(self, n, peer):
        a, e, b = self.st, Int("e!"), self.st.next()
        b.promised[n, peer] = also(a.promised[n, peer], e)
        return And(a.promise_held[n, peer](e), self.durable_promise(n, e)), b

    def release_ack(self, n, peer):
        a, e, s, b = self.st, Int("e!"), Int("s!"), self.st.next()
        waits = a.ack_synced[n](e) if self.on("durable-ack") else most(a.ack_synced[n](e), a.ack_held[n](e))
        b.ack_said[n] = raised(a.ack_said[n], e, s)
        return And(s >= 1, s <= waits, self.durable_promise(n, e)), b

    def count_promise(self, n, peer):
        a, e, b = self.st, self.st.promise[n], self.st.next()
        tail = a.promised_tail[peer, n]
        said = a.promised[peer, n](e)
        tails = (tail[0](e), tail[1](e))
        if not self.on("frame-identity"):
            other = 2
            said, tails = a.promised[peer, other](e), tuple(f(e) for f in a.promised_tail[peer, other])
        b.vote[n, peer], b.vote_tail[n, peer] = BoolVal(True), tails
        return And(said, a.role[n] == CANDIDATE, self.durable_promise(n, e)), b

    def elect(self, n, peer):
        a, e, b = self.st, self.st.promise[n], self.st.next()
        complete = self.clause("most-complete-log", self.promise_majority(
            lambda m: And(a.vote[n, m], at_most(a.vote_tail[n, m], a.log[n].tail()))))
        b.role[n] = IntVal(PRIMARY)
        for m in a.nodes():
            b.vote[n, m] = BoolVal(False)
        b.led[n] = also(a.led[n], e)
        b.lead_at = lambda i, s: If(i == e, a.log[n].at(s), a.lead_at(i, s))
        b.lead_end = lambda i: If(i == e, a.log[n].end, a.lead_end(i))
        b.lead_commit = lambda i: If(i == e, a.commit[n], a.lead_commit(i))
        return And(a.role[n] == CANDIDATE, self.promise_majority(lambda m: a.vote[n, m]), complete), b

    def step_down(self, n, peer):
        b = self.st.next()
        b.back_up(n)
        return True, b

    def append_own(self, n, peer):
        a, x, b = self.st, Const("x!", Entry), self.st.next()
        e, s = a.promise[n], a.log[n].end + 1
        b.log[n] = Log(lambda i: If(i == s, x, a.log[n].at(i)), s)
        b.disk[n] = self.written(n, b.log[n])
        b.lead_at = lambda i, j: If(And(i == e, j == s), x, a.lead_at(i, j))
        b.lead_end = lambda i: If(i == e, s, a.lead_end(i))
        return And(a.role[n] == PRIMARY, epoch_of(x) == e), b

    def written(self, n, log):
        """The device now holds this log too: the one that the next crash leaves is it, or the one before."""
        old, new = self.st.disk[n], Bool("new!")
        return Log(lambda s: If(new, log.at(s), old.at(s)), If(new, log.end, old.end))

    def count_ack(self, n, peer):
        a, e, s, b = self.st, Int("e!"), Int("s!"), self.st.next()
        b.match[n, peer] = most(a.match[n, peer], s)
        bound = e == a.promise[n] if self.on("ack-bound-to-epoch") else e <= a.promise[n]
        return And(a.role[n] == PRIMARY, s >= 1, s <= a.ack_said[peer](e), bound, s <= a.log[n].end), b

    def commit_by_count(self, n, peer):
        a, s, b = self.st, Int("s!"), self.st.next()
        e, log = a.promise[n], a.log[n]
        new = lambda i: And(i > a.known.end, i <= s)
        first = lambda i: And(i <= s, Or(i > a.known.end, e < a.by_epoch(i)))  # the earliest epoch that counted it
        b.commit[n] = s
        b.lead_commit = lambda i: If(i == e, s, a.lead_commit(i))
        b.ack_said[n] = raised(a.ack_said[n], e, s)  # a primary that counts itself has said so
        b.known = Log(lambda i: If(new(i), log.at(i), a.known.at(i)), most(a.known.end, s))
        b.by_epoch = lambda i: If(first(i), e, a.by_epoch(i))
        b.by_top = lambda i: If(first(i), s, a.by_top(i))
        count = self.clause("majority-commit", a.majority(lambda m: BoolVal(True) if m == n else a.match[n, m] >= s))
        return And(a.role[n] == PRIMARY, s > a.commit[n], s <= log.end, a.durable[n] >= s, count,
                   self.clause("own-epoch-commit", log.epoch(s) == e)), b

    def show(self, n, peer):
        a, s, b = self.st, Int("s!"), self.st.next()
        b.shown = lambda e, i, x: Or(a.shown(e, i, x), And(e == a.promise[n], i == s, x == a.log[n].at(s)))
        return And(a.role[n] == PRIMARY, s >= 1, s <= a.applied[n]), b

    def follow(self, n, peer):
        a, e, b = self.st, Int("e!"), self.st.next()
        b.back_up(n)
        b.promise[n] = most(a.promise[n], e)
        return And(a.led[1](e), self.fence(n, e)), b

    def prepare(self, n, peer):
        a, b = self.st, self.st.next()
        e, prev, s, cut, c, left = Ints("e! prev! s! cut! c! left!")
        synced, rewritten = Bool("synced!"), Bool("rewritten!")
        old, lead = a.log[n], a.lead(e)
        same = lambda i: And(i <= old.end, i <= lead.end, old.epoch(i) == lead.epoch(i))
        kept = old.upto(If(cut == 0, old.end, cut - 1))
        new = Log(kept.then(lead, s).at, most(kept.end, s))
        b.back_up(n)
        b.promise[n] = most(a.promise[n], e)
        b.log[n], b.commit[n], b.durable[n] = new, c, least(a.durable[n], kept.end)
        b.disk[n] = Log(lambda i: If(rewritten, new.at(i), a.disk[n].at(i)), If(rewritten, left, a.disk[n].end))
        b.ack_held[n] = raised(a.ack_held[n], e, s)
        b.ack_synced[n] = raised(a.ack_synced[n], e, If(synced, s, 0))
        return And(
            a.led[1](e), self.fence(n, e), 0 <= prev, prev <= s, s <= lead.end,
            self.clause("log-matching", Or(prev == 0, same(prev))),
            Or(cut == 0, And(prev < cut, cut <= old.end)),
            self.clause("truncate-only-on-conflict", Or(cut == 0, And(cut <= lead.end, Not(same(cut))))),
            self.clause("truncate-on-conflict", self.all_("i", lambda i: Implies(
                And(prev < i, i <= s, i <= kept.end), And(i <= lead.end, old.epoch(i) == lead.epoch(i))))),
            self.clause("commit-within-match", c <= most(a.commit[n], s)),
            Or(c == a.commit[n], And(c > a.commit[n], c <= a.lead_commit(e), c <= new.end)),
            kept.end <= left, left <= new.end,
            # `disk = {new}`: then the log was that too, for it is always one of `disk`.
            Implies(synced, And(a.disk[n].end == new.end, old.end == new.end, self.all_("i", lambda i: Implies(
                And(1 <= i, i <= new.end), And(a.disk[n].at(i) == new.at(i), old.at(i) == new.at(i))))))), b

    def sync(self, n, peer):
        a, b = self.st, self.st.next()
        b.durable[n], b.disk[n] = a.log[n].end, a.log[n]
        b.ack_synced[n] = lambda e: most(a.ack_synced[n](e), a.ack_held[n](e))
        return True, b

    def apply(self, n, peer):
        a, b, s = self.st, self.st.next(), self.st.applied[n] + 1
        b.applied[n] = s
        return And(s <= a.log[n].end, s <= a.durable[n], self.clause("apply-only-committed", s <= a.commit[n])), b

    def checkpoint(self, n, peer):
        a, s, b = self.st, Int("s!"), self.st.next()
        b.base[n] = s
        return And(a.base[n] <= s, s <= a.applied[n], self.durable_promise(n, a.promise[n])), b

    def send_state(self, n, peer):
        a, b = self.st, self.st.next()
        b.sent = raised(a.sent, a.promise[n], a.base[n])
        return a.role[n] == PRIMARY, b

    def install(self, n, peer):
        a, e, k, b = self.st, Int("e!"), Int("k!"), self.st.next()
        state, half_state = a.known.upto(k), True  # what is sent is what is committed: lemmas Known and Order
        if not self.on("atomic-state-transfer"):
            half, x = Int("half!"), Const("x!", Entry)
            state = Log(lambda s: If(s == half, x, a.known.at(s)), k)
            half_state = epoch_of(x) == a.known.epoch(half)
        log, epoch = a.log[n], most(a.promise[n], e)
        b.back_up(n), b.drop_held(n)
        b.promise[n] = b.stored[n] = epoch
        b.log[n] = b.disk[n] = state
        b.durable[n] = b.commit[n] = b.applied[n] = b.base[n] = k
        return And(half_state, k >= 1, k <= a.sent(e), self.fence(n, e), k > a.commit[n],
                   Not(And(k <= log.end, log.epoch(k) == state.epoch(k)))), b

    def reopen(self, n, log, base, owed):
        a, b = self.st, self.st.next()
        role, match = a.role[n], {m: a.match[n, m] for m in a.nodes()}
        b.back_up(n), b.drop_held(n)
        if not self.on("no-role-survives"):
            b.role[n] = role
            b.match.update({(n, m): match[m] for m in a.nodes()})
        b.promise[n] = most(most(a.stored[n], log.tail()[0]), owed[0])
        b.log[n] = b.disk[n] = log
        b.owed[n], b.durable[n], b.commit[n], b.applied[n], b.base[n] = owed, log.end, base, base, base
        return b

    def crash(self, n, peer):
        a = self.st
        return True, self.reopen(n, a.disk[n], a.base[n], a.owed[n])

    def rot(self, n, peer):
        # A prefix of the device's log is one that the replica had before, by Origin and Rising.
        a, left = self.st, Log(Function("left", I, Entry), Int("left_end!"))
        disk = a.disk[n]
        owed = tuple(If(at_most(a.owed[n], disk.tail()), x, y) for x, y in zip(disk.tail(), a.owed[n]))
        once = self.all_("si", lambda s, i: Implies(And(1 <= i, i <= s, s <= left.end), And(
            a.led_by_one(left.epoch(s)), s <= a.lead_end(left.epoch(s)), left.at(i) == a.lead(left.epoch(s)).at(i))))
        applied = self.all_("i", lambda i: Implies(
            And(1 <= i, i <= least(a.base[n], left.end)), left.at(i) == disk.at(i)))
        return (And(0 <= left.end, at_most(left.tail(), disk.tail()), once, applied),
                self.reopen(n, left, least(left.end, a.base[n]), owed))

    def give_up_all(self, n, peer):
        a, b = self.st, self.reopen(n, self.st.log[n].upto(IntVal(0)), IntVal(0), self.st.voted_tail(n))
        b.promise[n] = a.promise[n]
        b.disk[n] = self.written(n, b.log[n])
        return True, b
