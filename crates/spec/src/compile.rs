//! From the text of a module to expressions whose names are places.
//!
//! `tla-syntax` reads the text. What the specification does not use is refused here, at loading: no construct is ever
//! guessed about.

use std::collections::BTreeMap;

use tla_syntax::token::Op;
use tla_syntax::{Bound, ExceptPath, Expr, Module, QuantKind};

use crate::value::{Result, Value, Word};

/// An expression. Locals are places in the frame of the definition that is evaluated.
#[derive(Debug)]
pub(crate) enum E {
    Const(Value),
    Local(usize),
    Var(usize),
    /// A variable of the next state.
    Next(usize),
    Unchanged(Vec<usize>),
    Call(usize, Vec<E>),
    Len(Box<E>),
    Cardinality(Box<E>),
    Append(Box<E>, Box<E>),
    SubSeq(Box<E>, Box<E>, Box<E>),
    All(Vec<E>),
    Any(Vec<E>),
    Not(Box<E>),
    Implies(Box<E>, Box<E>),
    Binary(Op, Box<E>, Box<E>),
    Index(Box<E>, Box<E>),
    Field(Box<E>, Word),
    Seq(Vec<E>),
    Set(Vec<E>),
    Record(Vec<(Word, E)>),
    /// The place of the bound name, its domain, the body.
    Filter(usize, Box<E>, Box<E>),
    Map(usize, Box<E>, Box<E>),
    Function(usize, Box<E>, Box<E>),
    Forall(usize, Box<E>, Box<E>),
    Exists(usize, Box<E>, Box<E>),
    Choose(usize, Box<E>, Box<E>),
    /// The place of a definition that is evaluated when it is needed.
    Let(usize, Box<E>, Box<E>),
    If(Box<E>, Box<E>, Box<E>),
    Except(Box<E>, Vec<Update>),
}

#[derive(Debug)]
pub(crate) struct Update {
    pub path: Vec<Step>,
    /// The place of `@`.
    pub at: usize,
    pub value: E,
}

#[derive(Debug)]
pub(crate) enum Step {
    Index(E),
    Field(Word),
}

/// A definition.
#[derive(Debug)]
pub(crate) struct Def {
    pub name: String,
    pub params: usize,
    pub body: E,
    /// The body's conjuncts as they are written, to be told.
    pub text: Vec<String>,
}

/// A module, with its constants filled in.
#[derive(Debug)]
pub(crate) struct Program {
    pub vars: Vec<String>,
    pub defs: Vec<Def>,
    pub by_name: BTreeMap<String, usize>,
}

/// Where the names of an expression are looked up.
struct Scope<'a> {
    constants: &'a BTreeMap<String, Value>,
    vars: &'a [String],
    by_name: &'a BTreeMap<String, usize>,
    /// The names bound around it; each has its index as its place.
    locals: Vec<String>,
}

impl Program {
    pub fn of(text: &str, constants: &BTreeMap<String, Value>) -> Result<Program> {
        let module: Module = tla_syntax::parse_module(text).map_err(|error| error.to_string())?;
        for name in module.constants() {
            if !constants.contains_key(&name.name) {
                return Err(format!("constant {} has no value", name.name));
            }
        }
        let vars: Vec<String> = module.variables().cloned().collect();
        let units = module.units.iter().filter_map(|unit| match unit {
            tla_syntax::Unit::Def(def) => Some(def),
            _ => None,
        });
        let units: Vec<_> = units.collect();
        let by_name = units.iter().enumerate().map(|(at, def)| (def.name.clone(), at)).collect();
        let mut defs = Vec::new();
        for def in units {
            let locals = def.params.iter().map(|param| param.name.clone()).collect();
            let mut scope = Scope { constants, vars: &vars, by_name: &by_name, locals };
            let body = scope.expr(&def.body).map_err(|why| format!("{}: {why}", def.name))?;
            let mut text = Vec::new();
            conjuncts(&def.body, &mut text);
            defs.push(Def { name: def.name.clone(), params: def.params.len(), body, text });
        }
        Ok(Program { vars, defs, by_name })
    }
}

fn conjuncts(expr: &Expr, out: &mut Vec<String>) {
    match expr {
        Expr::Binary(Op::And, left, right) => {
            conjuncts(left, out);
            conjuncts(right, out);
        }
        Expr::Let { body, .. } => conjuncts(body, out),
        other => out.push(other.to_string().split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}

impl Scope<'_> {
    fn boxed(&mut self, expr: &Expr) -> Result<Box<E>> {
        self.expr(expr).map(Box::new)
    }

    fn all(&mut self, exprs: &[Expr]) -> Result<Vec<E>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr(&mut self, expr: &Expr) -> Result<E> {
        Ok(match expr {
            Expr::Num(n) => E::Const(Value::Int(*n)),
            Expr::Bool(b) => E::Const(Value::Bool(*b)),
            Expr::Str(s) => E::Const(Value::str(s)),
            Expr::Ident(name) => self.name(name)?,
            Expr::At => self.name("@")?,
            Expr::Prime(inner) => {
                let Expr::Ident(name) = &**inner else {
                    return Err(format!("{expr}: only a variable may be primed"));
                };
                let at = self.vars.iter().position(|var| var == name);
                E::Next(at.ok_or_else(|| format!("{name} is no variable"))?)
            }
            Expr::Apply(head, args) => self.call(head, args)?,
            Expr::FnApply(function, args) if args.len() == 1 => {
                E::Index(self.boxed(function)?, self.boxed(&args[0])?)
            }
            Expr::Field(inner, name) => E::Field(self.boxed(inner)?, Word::of(name)),
            Expr::Unary(Op::Not, inner) => E::Not(self.boxed(inner)?),
            Expr::Unary(Op::Unchanged, inner) => E::Unchanged(self.unchanged(inner)?),
            Expr::Binary(Op::And, ..) => E::All(self.chain(Op::And, expr)?),
            Expr::Binary(Op::Or, ..) => E::Any(self.chain(Op::Or, expr)?),
            Expr::Binary(Op::Implies, left, right) => E::Implies(self.boxed(left)?, self.boxed(right)?),
            Expr::Binary(op, left, right) => E::Binary(*op, self.boxed(left)?, self.boxed(right)?),
            Expr::Tuple(items) => E::Seq(self.all(items)?),
            Expr::SetEnum(items) => E::Set(self.all(items)?),
            Expr::Record(fields) => {
                let fields = fields.iter().map(|(name, value)| Ok((Word::of(name), self.expr(value)?)));
                E::Record(fields.collect::<Result<_>>()?)
            }
            Expr::SetFilter { bound, pred } => self.bound(std::slice::from_ref(bound), pred, E::Filter)?,
            Expr::SetMap { expr, bounds } => self.bound(bounds, expr, E::Map)?,
            Expr::FnDef { bounds, body } => self.bound(bounds, body, E::Function)?,
            Expr::Quant { kind: QuantKind::Forall, bounds, body } => self.bound(bounds, body, E::Forall)?,
            Expr::Quant { kind: QuantKind::Exists, bounds, body } => self.bound(bounds, body, E::Exists)?,
            Expr::Choose { bound, body } => self.bound(std::slice::from_ref(bound), body, E::Choose)?,
            Expr::Let { defs, instances, body } if instances.is_empty() => self.definitions(defs, body)?,
            Expr::If { cond, then, otherwise } => {
                E::If(self.boxed(cond)?, self.boxed(then)?, self.boxed(otherwise)?)
            }
            Expr::Except { base, updates } => {
                let base = self.boxed(base)?;
                E::Except(
                    base,
                    updates.iter().map(|(path, value)| self.update(path, value)).collect::<Result<_>>()?,
                )
            }
            other => return Err(format!("{other} is beyond what this evaluates")),
        })
    }

    fn name(&mut self, name: &str) -> Result<E> {
        if let Some(place) = self.locals.iter().rposition(|local| local == name) {
            return Ok(E::Local(place));
        }
        if let Some(at) = self.vars.iter().position(|var| var == name) {
            return Ok(E::Var(at));
        }
        if let Some(value) = self.constants.get(name) {
            return Ok(E::Const(value.clone()));
        }
        match self.by_name.get(name) {
            Some(def) => Ok(E::Call(*def, Vec::new())),
            None => Err(format!("{name} is not known")),
        }
    }

    fn call(&mut self, head: &Expr, args: &[Expr]) -> Result<E> {
        let Expr::Ident(name) = head else { return Err(format!("{head} is no operator")) };
        let mut args = self.all(args)?;
        let mut next = || Box::new(args.remove(0));
        Ok(match name.as_str() {
            "Len" => E::Len(next()),
            "Cardinality" => E::Cardinality(next()),
            "Append" => E::Append(next(), next()),
            "SubSeq" => E::SubSeq(next(), next(), next()),
            _ => E::Call(*self.by_name.get(name).ok_or_else(|| format!("{name} is not known"))?, args),
        })
    }

    fn chain(&mut self, op: Op, expr: &Expr) -> Result<Vec<E>> {
        match expr {
            Expr::Binary(same, left, right) if *same == op => {
                let mut all = self.chain(op, left)?;
                all.extend(self.chain(op, right)?);
                Ok(all)
            }
            other => Ok(vec![self.expr(other)?]),
        }
    }

    fn unchanged(&mut self, expr: &Expr) -> Result<Vec<usize>> {
        let names = if let Expr::Tuple(items) = expr { items.as_slice() } else { std::slice::from_ref(expr) };
        names
            .iter()
            .map(|name| match self.expr(name)? {
                E::Var(at) => Ok(at),
                _ => Err(format!("UNCHANGED {name}: not a variable")),
            })
            .collect()
    }

    /// `x, y \in S` is x in S, and for each y in S.
    fn bound(&mut self, bounds: &[Bound], body: &Expr, make: fn(usize, Box<E>, Box<E>) -> E) -> Result<E> {
        let names: Vec<(&String, &Expr)> = bounds
            .iter()
            .filter(|bound| !bound.destructure)
            .flat_map(|bound| bound.names.iter().zip(bound.domain.iter().cycle()))
            .collect();
        self.nested(&names, body, make)
    }

    fn nested(
        &mut self,
        names: &[(&String, &Expr)],
        body: &Expr,
        make: fn(usize, Box<E>, Box<E>) -> E,
    ) -> Result<E> {
        let Some(((name, domain), rest)) = names.split_first() else {
            return Err(format!("{body}: a bound without a domain"));
        };
        let (domain, place) = (self.boxed(domain)?, self.locals.len());
        self.locals.push((*name).clone());
        let inner = if rest.is_empty() { self.expr(body) } else { self.nested(rest, body, make) };
        self.locals.pop();
        Ok(make(place, domain, Box::new(inner?)))
    }

    fn definitions(&mut self, defs: &[tla_syntax::Def], body: &Expr) -> Result<E> {
        let Some((def, rest)) = defs.split_first() else { return self.expr(body) };
        if !def.params.is_empty() {
            return Err(format!("{}: a LET with parameters", def.name));
        }
        let (value, place) = (self.boxed(&def.body)?, self.locals.len());
        self.locals.push(def.name.clone());
        let inner = self.definitions(rest, body);
        self.locals.pop();
        Ok(E::Let(place, value, Box::new(inner?)))
    }

    fn update(&mut self, path: &[ExceptPath], value: &Expr) -> Result<Update> {
        let path = path.iter().map(|step| match step {
            ExceptPath::Index(index) => Ok(Step::Index(self.expr(index)?)),
            ExceptPath::Field(name) => Ok(Step::Field(Word::of(name))),
        });
        let (path, at) = (path.collect::<Result<_>>()?, self.locals.len());
        self.locals.push("@".into());
        let value = self.expr(value);
        self.locals.pop();
        Ok(Update { path, at, value: value? })
    }
}
