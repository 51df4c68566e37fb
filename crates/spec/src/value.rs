//! The values of TLA+ that the specification uses, cheap to copy.
//!
//! A function over `1..n` is a sequence and one over strings is a record, as in TLA+; so one value has one form, and two
//! forms are never compared by mistake. What an operation is not defined for is an error, never false.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock, RwLock};

/// A string, by number: fields and constants are compared often and read seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(u32);

#[derive(Default)]
struct Words {
    known: BTreeMap<&'static str, u32>,
    all: Vec<&'static str>,
}

static WORDS: LazyLock<RwLock<Words>> = LazyLock::new(RwLock::default);

impl Word {
    /// The word that reads like this. Few there are: those of the specification.
    pub fn of(text: &str) -> Word {
        if let Some(number) = WORDS.read().expect("nobody panics with the words").known.get(text) {
            return Word(*number);
        }
        let mut words = WORDS.write().expect("nobody panics with the words");
        let next = words.all.len() as u32;
        let text: &'static str = Box::leak(text.into());
        let number = *words.known.entry(text).or_insert(next);
        if number == next {
            words.all.push(text);
        }
        Word(number)
    }

    /// The word.
    pub fn text(self) -> &'static str {
        WORDS.read().expect("nobody panics with the words").all[self.0 as usize]
    }
}

/// A value.
#[derive(Clone)]
#[allow(missing_docs)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Str(Word),
    Seq(Arc<Vec<Value>>),
    Set(Arc<BTreeSet<Value>>),
    /// Fields in the order of their words.
    Record(Arc<Vec<(Word, Value)>>),
}

/// Why an expression has no value.
pub type Result<T> = std::result::Result<T, String>;

impl Value {
    /// A string.
    pub fn str(text: &str) -> Value {
        Value::Str(Word::of(text))
    }

    /// A sequence.
    pub fn seq(items: impl IntoIterator<Item = Value>) -> Value {
        Value::Seq(Arc::new(items.into_iter().collect()))
    }

    /// A set.
    pub fn set(items: impl IntoIterator<Item = Value>) -> Value {
        Value::Set(Arc::new(items.into_iter().collect()))
    }

    /// A record.
    pub fn record<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
        Value::of_fields(fields.into_iter().map(|(name, value)| (Word::of(name), value)).collect())
    }

    pub(crate) fn of_fields(mut fields: Vec<(Word, Value)>) -> Value {
        fields.sort_unstable_by_key(|field| field.0);
        Value::Record(Arc::new(fields))
    }

    /// The fields of a record, with their names; of anything else none.
    pub fn fields(&self) -> Vec<(&'static str, Value)> {
        let fields = self.entries().map_or(&[][..], |fields| fields);
        fields.iter().map(|(name, value)| (name.text(), value.clone())).collect()
    }

    fn is_not(&self, kind: &str) -> String {
        format!("{self} is no {kind}")
    }

    /// True or false.
    pub fn bool(&self) -> Result<bool> {
        if let Value::Bool(value) = self { Ok(*value) } else { Err(self.is_not("truth value")) }
    }

    /// A number.
    pub fn int(&self) -> Result<i64> {
        if let Value::Int(value) = self { Ok(*value) } else { Err(self.is_not("number")) }
    }

    /// The elements of a set.
    pub fn elements(&self) -> Result<&Arc<BTreeSet<Value>>> {
        if let Value::Set(set) = self { Ok(set) } else { Err(self.is_not("set")) }
    }

    /// The items of a sequence.
    pub fn items(&self) -> Result<&Arc<Vec<Value>>> {
        if let Value::Seq(items) = self { Ok(items) } else { Err(self.is_not("sequence")) }
    }

    pub(crate) fn entries(&self) -> Result<&Arc<Vec<(Word, Value)>>> {
        if let Value::Record(fields) = self { Ok(fields) } else { Err(self.is_not("record")) }
    }

    /// A field of a record.
    pub fn field(&self, name: Word) -> Result<&Value> {
        let found = self.entries()?.iter().find(|field| field.0 == name);
        found.map(|field| &field.1).ok_or_else(|| format!("{self} has no field {}", name.text()))
    }

    /// The same by the field's name.
    pub fn at(&self, name: &str) -> Result<&Value> {
        self.field(Word::of(name))
    }

    /// The item of a sequence at an index, which begins with 1.
    pub fn index(&self, at: i64) -> Result<&Value> {
        let found = usize::try_from(at - 1).ok().and_then(|at| self.items().ok()?.get(at));
        found.ok_or_else(|| format!("{self} has no item {at}"))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        use Value::{Bool, Int, Record, Seq, Set, Str};
        match (self, other) {
            (Bool(a), Bool(b)) => a.cmp(b),
            (Int(a), Int(b)) => a.cmp(b),
            (Str(a), Str(b)) => a.cmp(b),
            (Seq(a), Seq(b)) if Arc::ptr_eq(a, b) => Ordering::Equal,
            (Seq(a), Seq(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            (Set(a), Set(b)) if Arc::ptr_eq(a, b) => Ordering::Equal,
            (Set(a), Set(b)) => a.cmp(b),
            (Record(a), Record(b)) if Arc::ptr_eq(a, b) => Ordering::Equal,
            (Record(a), Record(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Value::Bool(_) => 0,
            Value::Int(_) => 1,
            Value::Str(_) => 2,
            Value::Seq(_) => 3,
            Value::Set(_) => 4,
            Value::Record(_) => 5,
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl fmt::Display for Value {
    /// As TLA+ writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: &mut dyn Iterator<Item = String>| {
            f.write_str(&items.collect::<Vec<_>>().join(", "))
        };
        match self {
            Value::Bool(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Value::Int(value) => write!(f, "{value}"),
            Value::Str(word) => write!(f, "\"{}\"", word.text()),
            Value::Seq(items) => {
                f.write_str("<<")?;
                list(f, &mut items.iter().map(Value::to_string))?;
                f.write_str(">>")
            }
            Value::Set(items) => {
                f.write_str("{")?;
                list(f, &mut items.iter().map(Value::to_string))?;
                f.write_str("}")
            }
            Value::Record(fields) => {
                f.write_str("[")?;
                list(f, &mut fields.iter().map(|(name, value)| format!("{} |-> {value}", name.text())))?;
                f.write_str("]")
            }
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Int(i64::from(value))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}
