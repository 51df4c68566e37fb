"""What follows from the lemmas and shortens proofs: each is proved from them first (`invariant` in the table of results)."""
from cluster import *  # noqa
from lemmas import Agree


def Ahead(st, all_):
    """Who leads an epoch has all that was counted in it or before it."""
    yield (), all_("es", lambda e, s: Implies(And(
        st.led_by_one(e), 1 <= s, s <= st.known.end, st.by_epoch(s) <= e), And(
        s <= st.lead_end(e), st.lead(e).at(s) == st.known.at(s))))


CUTS = [Agree, Ahead]
