//! An exploration in a file, to go on from. How such a file begins and ends: [`crate::save`].
//!
//! No state is written. Each was reached from an earlier one by one of its actions, and whoever takes all those steps again
//! has all the states. That also proves that the file fits: if the rules have changed since, some step leads elsewhere.
//!
//! | field | form | checked |
//! |---|---|---|
//! | bounds | 4 bytes: CRC-32C of the scope's numbers | they are still the same |
//! | expanded | number of the first state that was not expanded | at most the number of states |
//! | digest | 8 bytes: of all fingerprints | when all steps were taken |
//! | steps | for each state but the first: how much its parent's number is greater than the one before, then the action | in order; each from an expanded state; never the same twice |

use trace::Mechanisms;

use super::scope::Scope;
use crate::save::{self, Reader, SavedError, number};

/// By which action of which state another one was first reached.
pub(super) type Step = (u32, u16);

/// An exploration that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its scope, with the mechanisms that are on.
    pub scope: Scope,
    pub(super) order: Vec<Step>,
    pub(super) expanded: u32,
    pub(super) digest: u64,
}

/// The numbers of a scope, whatever mechanisms are on.
fn bounds(scope: &Scope) -> u32 {
    let scope = Scope { mechanisms: Mechanisms::all(), about: "", ..*scope };
    crc32c::crc32c(format!("{scope:?}").as_bytes())
}

impl Saved {
    /// States in it.
    pub fn states(&self) -> u64 {
        self.order.len() as u64
    }

    /// The bytes of a file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = save::begin(self.scope.name, self.scope.mechanisms);
        bytes.extend(bounds(&self.scope).to_le_bytes());
        number(&mut bytes, self.expanded.into());
        bytes.extend(self.digest.to_le_bytes());
        let mut before = 0;
        for (parent, action) in &self.order[1..] {
            number(&mut bytes, u64::from(parent - before));
            number(&mut bytes, u64::from(*action));
            before = *parent;
        }
        save::sealed(bytes)
    }

    /// What a file holds.
    pub fn decode(bytes: &[u8]) -> Result<Saved, SavedError> {
        let (header, mut reader) = save::open(bytes)?;
        let said = u32::from_le_bytes(reader.fixed("bounds")?);
        let scope = Scope::named(&header.scope).filter(|scope| bounds(scope) == said);
        let scope = scope.ok_or(SavedError::OtherScope(header.scope))?;
        let scope = Scope { mechanisms: header.mechanisms, ..scope };
        let expanded = reader.number("expanded", u32::MAX.into())? as u32;
        let digest = u64::from_le_bytes(reader.fixed("digest")?);
        let order = steps(&mut reader, expanded)?;
        if expanded as usize > order.len() {
            return Err(reader.malformed("expanded"));
        }
        Ok(Saved { scope, order, expanded, digest })
    }
}

/// All that are left in the file.
fn steps(reader: &mut Reader, expanded: u32) -> Result<Vec<Step>, SavedError> {
    let mut order: Vec<Step> = vec![(0, 0)];
    while !reader.is_empty() {
        let (before, action_before) = order[order.len() - 1];
        let more = reader.number("parent", u32::MAX.into())?;
        let action = reader.number("action", u16::MAX.into())? as u16;
        let parent = u64::from(before) + more;
        let in_order = more > 0 || action > action_before || order.len() == 1;
        // From an expanded state that was seen before this one.
        if !in_order || parent >= u64::from(expanded).min(order.len() as u64) {
            return Err(reader.malformed("parent"));
        }
        order.push((parent as u32, action));
    }
    Ok(order)
}
