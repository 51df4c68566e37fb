//! Randomness as an argument: small, seeded, and in independent streams.
//!
//! Each purpose (the network, one client, the choice of faults, …) draws from a stream of its own, named by a word. So
//! a change in how many numbers one fault consumes leaves every other choice of the same seed as it was.

/// One stream (xoshiro256**, Blackman and Vigna: "Scrambled linear pseudorandom number generators").
#[derive(Clone, Debug)]
pub struct Rng([u64; 4]);

/// The next number of a splitmix sequence; it spreads seeds that differ in one bit over all bits.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Rng {
    /// The stream for `purpose` number `index` of a schedule's seed.
    pub fn stream(seed: u64, purpose: &str, index: u64) -> Rng {
        let name = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let mut state = seed;
        state = splitmix(&mut state) ^ name;
        state = splitmix(&mut state) ^ index;
        Rng([(); 4].map(|()| splitmix(&mut state)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let out = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        out
    }

    /// A number below `n`, which must not be 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "below 0 there is no number");
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True `ppm` times in a million.
    pub fn chance(&mut self, ppm: u64) -> bool {
        ppm > 0 && self.below(1_000_000) < ppm
    }

    /// One of `items`, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_are_independent_and_repeatable() {
        let draw = |seed, purpose, index| Rng::stream(seed, purpose, index).bits();
        assert_eq!(draw(7, "network", 0), draw(7, "network", 0));
        assert_ne!(draw(7, "network", 0), draw(7, "network", 1));
        assert_ne!(draw(7, "network", 0), draw(7, "client", 0));
        assert_ne!(draw(7, "network", 0), draw(8, "network", 0));
    }

    #[test]
    fn bounds_hold() {
        let mut rng = Rng::stream(1, "test", 0);
        for _ in 0..1000 {
            assert!(rng.below(3) < 3);
            assert!((5..=9).contains(&rng.between(5, 9)));
            assert!(!rng.chance(0) && rng.chance(1_000_000));
        }
    }
}
