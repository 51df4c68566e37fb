"""The lemmas of Inductive.tla for z3. Each is a generator: the replicas that an instance is about, and the formula."""
from cluster import *  # noqa

LEMMAS = []


def lemma(why):
    def add(f):
        f.why = why
        LEMMAS.append(f)
        return f
    return add


def each(st):
    return [(n,) for n in st.nodes()]


def pairs(st):
    return [(a, b) for a in st.nodes() for b in st.nodes()]


@lemma("the numbers of a replica are in order; D5 and D7 are two of them")
def Order(st, all_):
    for n, in each(st):
        yield (n,), And(
            0 <= st.base[n], st.base[n] <= st.applied[n], st.applied[n] <= st.durable[n], st.applied[n] <= st.commit[n],
            st.commit[n] <= st.log[n].end, st.durable[n] <= st.log[n].end, st.durable[n] <= st.disk[n].end,
            0 <= st.stored[n], st.stored[n] <= st.promise[n], 0 <= st.owed[n][1],
            0 <= st.owed[n][0], st.owed[n][0] <= st.promise[n], 0 <= st.role[n], st.role[n] <= 2,
            Or(st.role[n] == BACKUP, 1 <= st.promise[n]))
    yield (), all_("e", lambda e: st.lead_end(e) >= 0)
    yield (), st.known.end >= 0


@lemma("what is durable, a crash leaves")
def Durable(st, all_):
    for n, in each(st):
        yield (n,), all_("s", lambda s: Implies(And(1 <= s, s <= st.durable[n]), st.log[n].at(s) == st.disk[n].at(s)))


@lemma("no log reaches beyond the promise: a restart raises the promise to it")
def Bound(st, all_):
    for n, in each(st):
        for log in (st.log[n], st.disk[n]):
            yield (n,), all_("s", lambda s: Implies(And(1 <= s, s <= log.end), And(
                1 <= log.epoch(s), log.epoch(s) <= st.promise[n])))


def origin(st, log, all_):
    return all_("si", lambda s, i: Implies(And(1 <= i, i <= s, s <= log.end), And(
        st.led_by_one(log.epoch(s)), s <= st.lead_end(log.epoch(s)), log.at(i) == st.lead(log.epoch(s)).at(i))))


@lemma("log matching: up to an entry, a log is what the primary of its epoch had")
def Origin(st, all_):
    for n, in each(st):
        yield (n,), origin(st, st.log[n], all_)
        yield (n,), origin(st, st.disk[n], all_)
    yield (), all_("esi", lambda e, s, i: Implies(And(st.led_by_one(e), 1 <= i, i <= s, s <= st.lead_end(e)), And(
        st.led_by_one(st.lead(e).epoch(s)), s <= st.lead_end(st.lead(e).epoch(s)),
        st.lead(e).at(i) == st.lead(st.lead(e).epoch(s)).at(i))))


@lemma("the epochs of a primary's log never fall, and end with its own")
def Rising(st, all_):
    yield (), all_("esi", lambda e, s, i: Implies(And(st.led_by_one(e), 1 <= i, i <= s, s <= st.lead_end(e)), And(
        1 <= st.lead(e).epoch(i), st.lead(e).epoch(i) <= st.lead(e).epoch(s), st.lead(e).epoch(s) <= e)))


@lemma("D3: a promise that was said is stored, one that waits is known")
def Promises(st, all_):
    for m, to in pairs(st):
        yield (m, to), all_("e", lambda e: And(Implies(st.promised[m, to](e), e <= st.stored[m]),
                                               Implies(st.promise_held[m, to](e), e <= st.promise[m])))


@lemma("D3: an acknowledgement promises its epoch")
def Acks(st, all_):
    for m, in each(st):
        yield (m,), all_("e", lambda e: And(
            Implies(st.ack_said[m](e) >= 1, e <= st.stored[m]), Implies(st.acked(m, e) >= 1, And(
                e <= st.promise[m], st.led_by_one(e), st.acked(m, e) <= st.lead_end(e)))))


@lemma("a replica promises an epoch to one candidate")
def OneGrant(st, all_):
    for m in st.nodes():
        for a, b in pairs(st):
            if a < b:
                yield (m, a, b), all_("e", lambda e: Not(And(st.promises(m, a, e), st.promises(m, b, e))))


@lemma("who stands for an epoch promises it to nobody else")
def OwnVote(st, all_):
    for n, to in pairs(st):
        yield (n, to), And(
            Implies(st.role[n] != BACKUP, Not(st.promises(n, to, st.promise[n]))),
            all_("e", lambda e: Implies(st.led[n](e), Not(st.promises(n, to, e)))))


@lemma("a vote is a promise that was said to the candidate; its own is durable before another counts")
def Votes(st, all_):
    for n, m in pairs(st):
        e = st.promise[n]
        if n == m:
            tail = st.log[n].tail()
            yield (n,), Implies(st.role[n] == CANDIDATE, And(
                Not(st.led[n](e)), at_most(st.owed[n], tail), st.vote[n, n],
                st.vote_tail[n, n][0] == tail[0], st.vote_tail[n, n][1] == tail[1]))
        else:
            yield (n, m), Implies(And(st.role[n] == CANDIDATE, st.vote[n, m]), And(
                st.promised[m, n](e), e <= st.stored[n],
                *[v == f(e) for v, f in zip(st.vote_tail[n, m], st.promised_tail[m, n])]))


@lemma("who led an epoch had promises of a majority, each durable")
def Elected(st, all_):
    for n, in each(st):
        yield (n,), all_("e", lambda e: Implies(st.led[n](e), And(
            1 <= e, e <= st.stored[n], st.majority(lambda m: BoolVal(True) if m == n else st.promised[m, n](e)))))


@lemma("D2")
def OnePrimary(st, all_):
    for a, b in pairs(st):
        if a < b:
            yield (a, b), all_("e", lambda e: Not(And(st.led[a](e), st.led[b](e))))


@lemma("D8: a primary's log is what it said; what it counts was said to it")
def Primary(st, all_):
    for n, in each(st):
        e, log = st.promise[n], st.log[n]
        primary = st.role[n] == PRIMARY
        yield (n,), Implies(primary, And(st.led[n](e), log.end == st.lead_end(e), st.commit[n] == st.lead_commit(e)))
        yield (n,), all_("s", lambda s: Implies(And(primary, 1 <= s, s <= log.end), log.at(s) == st.lead(e).at(s)))
    for n, m in pairs(st):
        primary = st.role[n] == PRIMARY
        yield (n, m), Or(st.match[n, m] <= 0, And(primary, st.match[n, m] <= st.ack_said[m](st.promise[n])))


@lemma("what a replica acknowledged it has, unless it owes it or it is dead")
def Kept(st, all_):
    for m, in each(st):
        for log, acked in ((st.log[m], st.acked), (st.disk[m], st.ack_durable)):
            yield (m,), all_("es", lambda e, s: Implies(And(st.own(e, s), s <= acked(m, e)), Or(
                log.has(e, s), at_most((e, s), st.owed[m]), st.dead(e, s))))


@lemma("a promise tells of what was acknowledged before it")
def Told(st, all_):
    for m, to in pairs(st):
        yield (m, to), all_("fes", lambda f, e, s: Implies(
            And(st.promises(m, to, f), e < f, st.own(e, s), s <= st.acked(m, e)),
            Or(at_most((e, s), tuple(t(f) for t in st.promised_tail[m, to])), st.dead(e, s))))


@lemma("an entry that a later primary lacks is dead")
def Lacked(st, all_):
    yield (), all_("fes", lambda f, e, s: Implies(
        And(st.led_by_one(f), e < f, st.own(e, s)), Or(st.lead(f).has(e, s), st.dead(e, s))))


@lemma("what is committed was counted: an entry of its epoch at or behind it, acknowledged by a majority")
def Counted(st, all_):
    yield (), all_("s", lambda s: Implies(And(1 <= s, s <= st.known.end), And(
        st.own(st.by_epoch(s), st.by_top(s)), s <= st.by_top(s),
        st.known.at(s) == st.lead(st.by_epoch(s)).at(s),
        st.majority(lambda m: st.ack_said[m](st.by_epoch(s)) >= st.by_top(s)))))


@lemma("D1: who knows that a seq is committed has its entry, and an epoch that is not before it")
def Known(st, all_):
    for n, in each(st):
        yield (n,), And(st.commit[n] <= st.known.end, st.base[n] <= st.known.end)
        yield (n,), all_("s", lambda s: Implies(And(1 <= s, s <= st.commit[n]), And(
            st.log[n].at(s) == st.known.at(s), st.by_epoch(s) <= st.promise[n])))


@lemma("a commit point that was said is that of the primary")
def Said(st, all_):
    yield (), all_("es", lambda e, s: Implies(And(st.led_by_one(e), 1 <= s, s <= st.lead_commit(e)), And(
        s <= st.lead_end(e), s <= st.known.end, st.lead(e).at(s) == st.known.at(s), st.by_epoch(s) <= e)))


@lemma("what is checkpointed was committed in an epoch that a restart does not forget")
def Restart(st, all_):
    for n, in each(st):
        yield (n,), all_("s", lambda s: Implies(And(1 <= s, s <= st.base[n]), st.by_epoch(s) <= st.stored[n]))


@lemma("a state that is sent is committed, in an epoch not after that of its primary")
def States(st, all_):
    yield (), all_("es", lambda e, s: Implies(And(1 <= s, s <= st.sent(e)), And(
        s <= st.known.end, st.by_epoch(s) <= e)))


@lemma("what a client was told is committed, in an epoch not after that of the answer")
def Answered(st, all_):
    yield (), all_("esx", lambda e, s, x: Implies(st.shown(e, s, x), And(
        1 <= s, s <= st.known.end, x == st.known.at(s), st.by_epoch(s) <= e)))


def Agree(st, all_):
    """What is not dead agrees with what is committed. It follows from the lemmas, and shortens a proof."""
    yield (), all_("esi", lambda e, s, i: Implies(And(st.own(e, s), 1 <= i, i <= s, i <= st.known.end), Or(
        st.lead(e).at(i) == st.known.at(i), st.dead(e, s))))


def D1(st, all_):
    for n, in each(st):
        yield (n,), all_("s", lambda s: Implies(And(1 <= s, s <= st.commit[n], s <= st.log[n].end, s <= st.known.end),
                                                st.log[n].at(s) == st.known.at(s)))


D2 = OnePrimary


def D4(st, all_):
    yield (), all_("fesx", lambda f, e, s, x: Implies(And(st.led_by_one(f), e < f, st.shown(e, s, x)), And(
        s <= st.lead_end(f), st.lead(f).at(s) == x)))


def D7(st, all_):
    for n, in each(st):
        yield (n,), st.commit[n] <= st.log[n].end


def D3(st, all_):
    for m, to in pairs(st):
        yield (m, to), all_("e", lambda e: And(Implies(st.promised[m, to](e), e <= st.promise[m]),
                                               Implies(st.ack_said[m](e) >= 1, e <= st.promise[m])))


def D5(st, all_):
    for n, in each(st):
        yield (n,), st.applied[n] <= st.commit[n]


def D8(st, all_):
    for n, in each(st):
        yield (n,), all_("s", lambda s: Implies(And(st.role[n] == PRIMARY, 1 <= s, s <= st.log[n].end), And(
            st.lead_end(st.promise[n]) == st.log[n].end, st.log[n].at(s) == st.lead(st.promise[n]).at(s))))


GOALS = [Agree, D1, D2, D3, D4, D5, D7, D8]
