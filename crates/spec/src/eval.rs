//! What an expression comes to in a state, and what an action makes of a state.
//!
//! An action is a conjunction of guards and of equations for the next state. So it is carried out: a guard that does not
//! hold is the reason why the step is forbidden, and the equations give the one state that the step may lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tla_syntax::token::Op;

use crate::compile::{Def, E, Program, Step, Update};
use crate::value::{Result, Value, Word};

/// The values of the variables, in the order of their declaration.
pub type State = Vec<Value>;

/// A specification that can be asked about states and steps.
#[derive(Debug)]
pub struct Spec {
    program: Program,
}

/// Why a step is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The definition whose conjunct does not hold, innermost first; the last one is the action.
    pub within: Vec<String>,
    /// The conjunct.
    pub text: String,
}

/// What comes of asking for a step.
pub type Asked = std::result::Result<State, Refusal>;

enum Slot<'a> {
    Value(Value),
    /// A LET that nobody needed yet.
    Later(&'a E),
}

struct Frame<'a> {
    slots: Vec<Slot<'a>>,
}

impl Spec {
    /// The module in `text`.
    pub fn new(text: &str, constants: &BTreeMap<String, Value>) -> Result<Spec> {
        Ok(Spec { program: Program::of(text, constants)? })
    }

    /// The names of the variables.
    pub fn variables(&self) -> &[String] {
        &self.program.vars
    }

    /// The names of all definitions.
    pub fn definitions(&self) -> impl Iterator<Item = &str> {
        self.program.defs.iter().map(|def| def.name.as_str())
    }

    fn def(&self, name: &str) -> Result<&Def> {
        let at = self.program.by_name.get(name).ok_or_else(|| format!("{name} is not defined"))?;
        Ok(&self.program.defs[*at])
    }

    /// The value of a definition in a state.
    pub fn value(&self, name: &str, args: &[Value], state: &State) -> Result<Value> {
        let def = self.def(name)?;
        self.eval(&def.body, &mut Frame::of(args), state).map_err(|why| format!("{name}: {why}"))
    }

    /// The state that `Init` describes.
    pub fn init(&self) -> Result<State> {
        let none = vec![Value::Bool(false); self.program.vars.len()];
        let mut next = vec![None; none.len()];
        let E::All(equations) = &self.def("Init")?.body else { return Err("Init is no conjunction".into()) };
        for equation in equations {
            match equation {
                E::Binary(Op::Eq, left, right) if matches!(**left, E::Var(_)) => {
                    let E::Var(var) = **left else { continue };
                    next[var] = Some(self.eval(right, &mut Frame::of(&[]), &none)?);
                }
                _ => return Err("Init has a conjunct that is no equation".into()),
            }
        }
        next.into_iter().collect::<Option<_>>().ok_or_else(|| "Init leaves a variable open".into())
    }

    /// Takes the step `action(args)` from `state`. An error says that the question has no answer.
    pub fn step(&self, action: &str, args: &[Value], state: &State) -> Result<Asked> {
        let def = self.def(action)?;
        if def.params != args.len() {
            return Err(format!("{action} takes {} arguments", def.params));
        }
        let mut next: Vec<Option<Value>> = vec![None; state.len()];
        let (mut frame, mut within) = (Frame::of(args), vec![action.to_string()]);
        let refused = self.act(&def.body, &mut frame, state, &mut next, &mut within);
        match refused.map_err(|why| format!("{action}: {why}"))? {
            Some(text) => {
                within.reverse();
                Ok(Err(Refusal { within, text }))
            }
            None => {
                let next: Option<State> = next.into_iter().collect();
                next.map(Ok).ok_or_else(|| format!("{action} leaves a variable open"))
            }
        }
    }

    /// Carries out a conjunct. `Some` is the text of what does not hold.
    fn act<'a>(
        &'a self,
        e: &'a E,
        frame: &mut Frame<'a>,
        state: &State,
        next: &mut [Option<Value>],
        within: &mut Vec<String>,
    ) -> Result<Option<String>> {
        match e {
            E::All(conjuncts) => {
                for conjunct in conjuncts {
                    if let Some(text) = self.act(conjunct, frame, state, next, within)? {
                        return Ok(Some(text));
                    }
                }
                Ok(None)
            }
            E::Let(place, value, body) => {
                frame.bind(*place, Slot::Later(value));
                self.act(body, frame, state, next, within)
            }
            E::Unchanged(vars) => {
                vars.iter().for_each(|var| next[*var] = Some(state[*var].clone()));
                Ok(None)
            }
            E::Binary(Op::Eq, left, right) if matches!(**left, E::Next(_)) => {
                let E::Next(var) = **left else { return Ok(None) };
                next[var] = Some(self.eval(right, frame, state)?);
                Ok(None)
            }
            E::Call(at, args) if is_action(&self.program, &self.program.defs[*at].body) => {
                let def = &self.program.defs[*at];
                let args = self.all(args, frame, state)?;
                within.push(def.name.clone());
                let refused = self.act(&def.body, &mut Frame::of(&args), state, next, within)?;
                if refused.is_none() {
                    within.pop();
                }
                Ok(refused)
            }
            guard => {
                if self.eval(guard, frame, state)?.bool()? {
                    return Ok(None);
                }
                self.blame(guard, frame, state, within).map(Some)
            }
        }
    }

    /// A guard that does not hold: which of its definitions is to blame?
    fn blame<'a>(
        &'a self,
        guard: &'a E,
        frame: &mut Frame<'a>,
        state: &State,
        within: &mut Vec<String>,
    ) -> Result<String> {
        match guard {
            E::Call(at, args) => {
                let def = &self.program.defs[*at];
                let args = self.all(args, frame, state)?;
                within.push(def.name.clone());
                self.blame(&def.body, &mut Frame::of(&args), state, within)
            }
            E::All(conjuncts) => {
                for conjunct in conjuncts {
                    if !self.eval(conjunct, frame, state)?.bool()? {
                        return self.blame(conjunct, frame, state, within);
                    }
                }
                Ok(String::new())
            }
            E::Let(place, value, body) => {
                frame.bind(*place, Slot::Later(value));
                self.blame(body, frame, state, within)
            }
            other => Ok(self.text(within, other)),
        }
    }

    /// The conjunct as the specification writes it.
    fn text(&self, within: &[String], conjunct: &E) -> String {
        let Some(def) = within.last().and_then(|name| self.def(name).ok()) else { return String::new() };
        let mut all = Vec::new();
        flatten(&def.body, &mut all);
        let at = all.iter().position(|e| std::ptr::eq(*e, conjunct));
        at.and_then(|at| def.text.get(at)).cloned().unwrap_or_default()
    }

    fn all<'a>(&'a self, all: &'a [E], frame: &mut Frame<'a>, state: &State) -> Result<Vec<Value>> {
        all.iter().map(|e| self.eval(e, frame, state)).collect()
    }

    fn eval<'a>(&'a self, e: &'a E, frame: &mut Frame<'a>, state: &State) -> Result<Value> {
        Ok(match e {
            E::Const(value) => value.clone(),
            E::Local(place) => self.local(*place, frame, state)?,
            E::Var(var) => state[*var].clone(),
            E::Next(_) | E::Unchanged(_) => return Err("the next state, where only this one is known".into()),
            E::Call(at, args) => {
                let def = &self.program.defs[*at];
                let args = self.all(args, frame, state)?;
                self.eval(&def.body, &mut Frame::of(&args), state)?
            }
            E::Len(sequence) => Value::Int(self.eval(sequence, frame, state)?.items()?.len() as i64),
            E::Cardinality(set) => Value::Int(self.eval(set, frame, state)?.elements()?.len() as i64),
            E::Append(sequence, item) => {
                let mut items = self.eval(sequence, frame, state)?.items()?.to_vec();
                items.push(self.eval(item, frame, state)?);
                Value::Seq(Arc::new(items))
            }
            E::SubSeq(sequence, from, upto) => {
                let sequence = self.eval(sequence, frame, state)?;
                let (from, upto) =
                    (self.eval(from, frame, state)?.int()?, self.eval(upto, frame, state)?.int()?);
                sub_seq(&sequence, from, upto)?
            }
            E::All(all) => Value::Bool(self.first(all, false, frame, state)?),
            E::Any(any) => Value::Bool(self.first(any, true, frame, state)?),
            E::Not(inner) => Value::Bool(!self.eval(inner, frame, state)?.bool()?),
            E::Implies(left, right) => Value::Bool(
                !self.eval(left, frame, state)?.bool()? || self.eval(right, frame, state)?.bool()?,
            ),
            E::Binary(op, left, right) => {
                let (left, right) = (self.eval(left, frame, state)?, self.eval(right, frame, state)?);
                binary(*op, &left, &right)?
            }
            E::Index(function, index) => {
                // Without a copy of the whole: most of what is looked at is a field of one replica.
                let function = self.eval(function, frame, state)?;
                function.index(self.eval(index, frame, state)?.int()?)?.clone()
            }
            E::Field(record, name) => self.eval(record, frame, state)?.field(*name)?.clone(),
            E::Seq(items) => Value::seq(self.all(items, frame, state)?),
            E::Set(items) => Value::set(self.all(items, frame, state)?),
            E::Record(fields) => {
                let fields = fields.iter().map(|(name, value)| Ok((*name, self.eval(value, frame, state)?)));
                Value::of_fields(fields.collect::<Result<_>>()?)
            }
            E::Filter(place, domain, body) => {
                let mut found = BTreeSet::new();
                for value in self.eval(domain, frame, state)?.elements()?.iter() {
                    if self.with(*place, value, body, frame, state)?.bool()? {
                        found.insert(value.clone());
                    }
                }
                Value::Set(Arc::new(found))
            }
            E::Map(place, domain, body) => {
                let domain = self.eval(domain, frame, state)?;
                let values =
                    domain.elements()?.iter().map(|value| self.with(*place, value, body, frame, state));
                Value::Set(Arc::new(values.collect::<Result<_>>()?))
            }
            E::Function(place, domain, body) => {
                let domain = self.eval(domain, frame, state)?;
                let elements = domain.elements()?;
                if !elements.iter().zip(1..).all(|(value, n)| *value == Value::Int(n)) {
                    return Err(format!("a function over {domain}, which is no 1..n"));
                }
                let values = elements.iter().map(|value| self.with(*place, value, body, frame, state));
                Value::Seq(Arc::new(values.collect::<Result<_>>()?))
            }
            E::Forall(place, domain, body) => {
                Value::Bool(self.search(*place, domain, body, false, frame, state)?.is_none())
            }
            E::Exists(place, domain, body) => {
                Value::Bool(self.search(*place, domain, body, true, frame, state)?.is_some())
            }
            E::Choose(place, domain, body) => {
                let found = self.search(*place, domain, body, true, frame, state)?;
                found.ok_or("CHOOSE from none")?
            }
            E::Let(place, value, body) => {
                frame.bind(*place, Slot::Later(value));
                self.eval(body, frame, state)?
            }
            E::If(condition, then, otherwise) => {
                let branch = if self.eval(condition, frame, state)?.bool()? { then } else { otherwise };
                self.eval(branch, frame, state)?
            }
            E::Except(base, updates) => {
                let mut value = self.eval(base, frame, state)?;
                for update in updates {
                    value = self.update(value, &update.path, update, frame, state)?;
                }
                value
            }
        })
    }

    fn local<'a>(&'a self, place: usize, frame: &mut Frame<'a>, state: &State) -> Result<Value> {
        match &frame.slots[place] {
            Slot::Value(value) => Ok(value.clone()),
            Slot::Later(e) => {
                let e = *e;
                // The definition sees what was bound before it, and binds names of its own from there on.
                let mut before = Frame { slots: frame.slots[..place].iter().map(Slot::copy).collect() };
                let value = self.eval(e, &mut before, state)?;
                frame.slots[place] = Slot::Value(value.clone());
                Ok(value)
            }
        }
    }

    /// Is there one of `all` that is `wanted`? For a conjunction false is looked for, for a disjunction true.
    fn first<'a>(&'a self, all: &'a [E], wanted: bool, frame: &mut Frame<'a>, state: &State) -> Result<bool> {
        for e in all {
            if self.eval(e, frame, state)?.bool()? == wanted {
                return Ok(wanted);
            }
        }
        Ok(!wanted)
    }

    fn with<'a>(
        &'a self,
        place: usize,
        value: &Value,
        body: &'a E,
        frame: &mut Frame<'a>,
        state: &State,
    ) -> Result<Value> {
        frame.bind(place, Slot::Value(value.clone()));
        self.eval(body, frame, state)
    }

    fn search<'a>(
        &'a self,
        place: usize,
        domain: &'a E,
        body: &'a E,
        wanted: bool,
        frame: &mut Frame<'a>,
        state: &State,
    ) -> Result<Option<Value>> {
        for value in self.eval(domain, frame, state)?.elements()?.iter() {
            if self.with(place, value, body, frame, state)?.bool()? == wanted {
                return Ok(Some(value.clone()));
            }
        }
        Ok(None)
    }

    fn update<'a>(
        &'a self,
        base: Value,
        path: &'a [Step],
        update: &'a Update,
        frame: &mut Frame<'a>,
        state: &State,
    ) -> Result<Value> {
        let Some((step, rest)) = path.split_first() else {
            frame.bind(update.at, Slot::Value(base));
            return self.eval(&update.value, frame, state);
        };
        match step {
            Step::Index(index) => {
                let at = self.eval(index, frame, state)?.int()?;
                let value = self.update(base.index(at)?.clone(), rest, update, frame, state)?;
                let mut items = base.items()?.to_vec();
                items[at as usize - 1] = value;
                Ok(Value::Seq(Arc::new(items)))
            }
            Step::Field(name) => {
                let value = self.update(base.field(*name)?.clone(), rest, update, frame, state)?;
                Ok(replaced(&base, *name, value)?)
            }
        }
    }
}

impl<'a> Frame<'a> {
    fn of(args: &[Value]) -> Frame<'a> {
        Frame { slots: args.iter().map(|arg| Slot::Value(arg.clone())).collect() }
    }

    fn bind(&mut self, place: usize, slot: Slot<'a>) {
        self.slots.truncate(place);
        self.slots.push(slot);
    }
}

impl<'a> Slot<'a> {
    fn copy(&self) -> Slot<'a> {
        match self {
            Slot::Value(value) => Slot::Value(value.clone()),
            Slot::Later(e) => Slot::Later(e),
        }
    }
}

/// Does the expression speak of the next state?
fn is_action(program: &Program, e: &E) -> bool {
    match e {
        E::Next(_) | E::Unchanged(_) => true,
        E::All(all) => all.iter().any(|e| is_action(program, e)),
        E::Let(_, _, body) => is_action(program, body),
        E::Binary(_, left, _) => is_action(program, left),
        E::Call(at, _) => is_action(program, &program.defs[*at].body),
        _ => false,
    }
}

/// The conjuncts in the order in which the text has them.
fn flatten<'a>(e: &'a E, out: &mut Vec<&'a E>) {
    match e {
        E::All(all) => all.iter().for_each(|e| flatten(e, out)),
        E::Let(_, _, body) => flatten(body, out),
        other => out.push(other),
    }
}

/// The record with another value in a field.
pub(crate) fn replaced(record: &Value, name: Word, value: Value) -> Result<Value> {
    record.field(name)?;
    let mut fields = record.entries()?.to_vec();
    fields.iter_mut().filter(|field| field.0 == name).for_each(|field| field.1 = value.clone());
    Ok(Value::Record(Arc::new(fields)))
}

fn sub_seq(sequence: &Value, from: i64, upto: i64) -> Result<Value> {
    let items = sequence.items()?;
    if from == 1 && upto == items.len() as i64 {
        return Ok(sequence.clone());
    }
    if from > upto {
        return Ok(Value::seq([]));
    }
    let range = usize::try_from(from - 1).ok().zip(usize::try_from(upto).ok());
    let piece = range.and_then(|(from, upto)| items.get(from..upto));
    piece.map(|piece| Value::seq(piece.to_vec())).ok_or_else(|| format!("no items {from} to {upto}"))
}

fn binary(op: Op, left: &Value, right: &Value) -> Result<Value> {
    Ok(match op {
        Op::Eq => Value::Bool(comparable(left, right)? && left == right),
        Op::Neq => Value::Bool(!comparable(left, right)? || left != right),
        Op::Lt => Value::Bool(left.int()? < right.int()?),
        Op::Gt => Value::Bool(left.int()? > right.int()?),
        Op::Le => Value::Bool(left.int()? <= right.int()?),
        Op::Ge => Value::Bool(left.int()? >= right.int()?),
        Op::Plus => Value::Int(left.int()? + right.int()?),
        Op::Minus => Value::Int(left.int()? - right.int()?),
        Op::Times => Value::Int(left.int()? * right.int()?),
        Op::Div => Value::Int(left.int()?.checked_div_euclid(right.int()?).ok_or("division by zero")?),
        Op::DotDot => Value::set((left.int()?..=right.int()?).map(Value::Int)),
        Op::In => Value::Bool(right.elements()?.contains(left)),
        Op::NotIn => Value::Bool(!right.elements()?.contains(left)),
        Op::Cup => union(left, right)?,
        Op::Cap => Value::set(left.elements()?.intersection(right.elements()?).cloned()),
        Op::SetMinus => Value::set(left.elements()?.difference(right.elements()?).cloned()),
        Op::Concat => Value::seq(left.items()?.iter().chain(right.items()?.iter()).cloned()),
        other => return Err(format!("{other:?} is beyond what this evaluates")),
    })
}

/// TLC compares a number with a string no more than we do; both forms of an empty function are the empty sequence.
fn comparable(left: &Value, right: &Value) -> Result<bool> {
    if std::mem::discriminant(left) == std::mem::discriminant(right) {
        return Ok(true);
    }
    Err(format!("{left} and {right} cannot be compared"))
}

fn union(left: &Value, right: &Value) -> Result<Value> {
    let (left, right) = (left.elements()?, right.elements()?);
    let (more, less) = if left.len() < right.len() { (right, left) } else { (left, right) };
    if less.iter().all(|value| more.contains(value)) {
        return Ok(Value::Set(more.clone()));
    }
    let mut all = more.clone();
    Arc::make_mut(&mut all).extend(less.iter().cloned());
    Ok(Value::Set(all))
}
