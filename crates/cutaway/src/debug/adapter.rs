//! The requests of an editor, and what they are answered with.
//!
//! A request is answered before what it asks for happens: only then does `stopped` mean what it led to.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::breakpoints::{Breakpoints, FILTERS};
use super::evaluate::{Answer, evaluate};
use super::frames::{self, Frame};
use super::launch::Launch;
use super::protocol::{Outbox, Request};
use super::scopes::{self, Handles};
use super::session::{Move, Session, Stop};
use super::tree::Tree;

/// Frames that are remembered at one place; whoever asks for more asks in a circle.
const FRAMES_MAX: usize = 1 << 16;

/// Whether to go on after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Go,
    Leave,
}

/// What happens once a request is answered.
enum Then {
    Nothing,
    Initialized,
    Start,
    Move(Move),
    Show(Stop),
    Terminate,
    Leave,
}

/// An answer, and what follows; or why not.
type Reply = Result<(Value, Then), String>;

/// One editor.
pub struct Adapter<W> {
    outbox: Outbox<W>,
    /// The number of the first line and column, as the editor counts.
    first: usize,
    breakpoints: Breakpoints,
    /// What was asked for, to be asked for again by a restart.
    launched: Value,
    session: Option<Session>,
    /// Has it begun to run, so that it can be moved?
    runs: bool,
    /// The frames that were shown since the position moved; the editor knows them by number, from 1.
    frames: Vec<Frame>,
    handles: Handles,
    /// The steps that were shown as targets since the position moved.
    targets: Vec<String>,
    /// Why it stands.
    stop: Option<Stop>,
}

impl<W: Write> Adapter<W> {
    pub fn new(output: W) -> Adapter<W> {
        Adapter {
            outbox: Outbox::new(output),
            first: 1,
            breakpoints: Breakpoints::new(),
            launched: Value::Null,
            session: None,
            runs: false,
            frames: Vec::new(),
            handles: Handles::default(),
            targets: Vec::new(),
            stop: None,
        }
    }

    /// Answers a request, and does what it asks for.
    pub fn obey(&mut self, request: &Request, interrupted: &mut dyn FnMut() -> bool) -> io::Result<Flow> {
        match self.answer(&request.command, &request.arguments) {
            Err(why) => {
                self.outbox.respond(request, Err(why))?;
                Ok(Flow::Go)
            }
            Ok((body, then)) => {
                self.outbox.respond(request, Ok(body))?;
                self.follow(then, interrupted)
            }
        }
    }

    /// Tells of a message that could not be understood.
    pub fn complain(&mut self, why: &str) -> io::Result<Flow> {
        self.outbox.event("output", json!({ "category": "stderr", "output": format!("{why}\n") }))?;
        Ok(Flow::Go)
    }

    fn answer(&mut self, command: &str, of: &Value) -> Reply {
        let done = |then: Then| Ok((json!({}), then));
        let shown = |body: Value| Ok((body, Then::Nothing));
        match command {
            "initialize" => self.initialize(of),
            "launch" => self.launch(of.clone()),
            "attach" => Err("there is nothing to attach to: use `\"request\": \"launch\"`".to_string()),
            "restart" => self.restart(&of["arguments"]),
            "configurationDone" => self.begin(),
            "setBreakpoints" => self.set_breakpoints(of).and_then(shown),
            "setFunctionBreakpoints" => {
                let names: Vec<&str> = list(of, "breakpoints", |item| item["name"].as_str())?;
                shown(json!({ "breakpoints": self.breakpoints.set_functions(&names) }))
            }
            "setExceptionBreakpoints" => {
                let filters: Vec<&str> = list(of, "filters", Value::as_str)?;
                shown(json!({ "breakpoints": self.breakpoints.set_filters(&filters) }))
            }
            "threads" => self.threads().and_then(shown),
            "stackTrace" => self.stack(of).and_then(shown),
            "scopes" => self.scopes(of).and_then(shown),
            "variables" => self.variables(of).and_then(shown),
            "source" => self.source(of).and_then(shown),
            "exceptionInfo" => self.exception().and_then(shown),
            "evaluate" => self.evaluate(of),
            "gotoTargets" => self.targets(of).and_then(shown),
            "goto" => self.go_to(of),
            "continue" => {
                self.moved(Move::Continue).map(|(_, then)| (json!({ "allThreadsContinued": true }), then))
            }
            "next" => self.moved(Move::Next),
            "stepIn" => {
                let lane = self.lane(of)?;
                self.moved(Move::In(lane))
            }
            "stepOut" => self.moved(Move::Out),
            "stepBack" => self.moved(Move::Back),
            "reverseContinue" => self.moved(Move::Cause),
            // A run that is under way has stopped before this was read.
            "pause" => self.running().and_then(|_| done(Then::Nothing)),
            "terminate" => done(Then::Terminate),
            "disconnect" => done(Then::Leave),
            other => {
                Err(format!("there is no request `{}` here", other.chars().take(60).collect::<String>()))
            }
        }
    }

    fn follow(&mut self, then: Then, interrupted: &mut dyn FnMut() -> bool) -> io::Result<Flow> {
        match then {
            Then::Nothing => {}
            Then::Initialized => {
                self.outbox.event("initialized", json!({}))?;
                if self.session.as_ref().is_some_and(|session| !session.tree.is_there()) {
                    let why = "The sources of Cutaway are not there, so that frames have no lines: name their folder as \
                               \"sourceRoot\" in the launch configuration.";
                    self.complain(why)?;
                }
            }
            Then::Start => self.start(interrupted)?,
            Then::Move(to) => self.go(to, interrupted)?,
            Then::Show(stop) => self.show(stop)?,
            Then::Terminate => self.terminate()?,
            Then::Leave => return Ok(Flow::Leave),
        }
        Ok(Flow::Go)
    }

    // ---- Beginning ----

    fn initialize(&mut self, of: &Value) -> Reply {
        if of["pathFormat"].as_str().is_some_and(|format| format != "path") {
            return Err("files are named by paths here: ask for \"pathFormat\": \"path\"".to_string());
        }
        self.first = usize::from(of["linesStartAt1"] != false);
        let label = |filter: &str| match filter.strip_prefix('P').and_then(|n| n.parse::<usize>().ok()) {
            Some(number) => format!("{filter} {}", trace::mechanism::PROMISES[number - 1]),
            None => "An invariant, or an assertion of a node".to_string(),
        };
        let filters =
            FILTERS.map(|filter| json!({ "filter": filter, "label": label(filter), "default": true }));
        let capabilities = json!({
            "supportsConfigurationDoneRequest": true,
            "supportsFunctionBreakpoints": true,
            "supportsEvaluateForHovers": true,
            "supportsStepBack": true,
            "supportsGotoTargetsRequest": true,
            "supportsRestartRequest": true,
            "supportsExceptionInfoRequest": true,
            "supportsDelayedStackTraceLoading": true,
            "supportsTerminateRequest": true,
            "exceptionBreakpointFilters": filters,
        });
        Ok((capabilities, Then::Nothing))
    }

    fn launch(&mut self, arguments: Value) -> Reply {
        if self.session.is_some() {
            return Err("a schedule is being debugged already: restart or disconnect".to_string());
        }
        self.session = Some(Session::new(Launch::read(&arguments)?)?);
        self.launched = arguments;
        Ok((json!({}), Then::Initialized))
    }

    fn restart(&mut self, arguments: &Value) -> Reply {
        self.session()?;
        let arguments = if arguments.is_object() { arguments.clone() } else { self.launched.clone() };
        self.session = Some(Session::new(Launch::read(&arguments)?)?);
        self.launched = arguments;
        self.runs = true;
        Ok((json!({}), Then::Start))
    }

    fn begin(&mut self) -> Reply {
        self.session()?;
        if std::mem::replace(&mut self.runs, true) {
            return Err("it runs already".to_string());
        }
        Ok((json!({}), Then::Start))
    }

    fn start(&mut self, interrupted: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        if session.runs_through {
            session.run_through(interrupted);
            return self.terminate();
        }
        if session.stops_on_entry {
            let stop = session.at_entry();
            return self.show(stop);
        }
        self.go(Move::Continue, interrupted)
    }

    // ---- Moving ----

    fn session(&mut self) -> Result<&mut Session, String> {
        self.session.as_mut().ok_or_else(|| "nothing is being debugged yet: `launch` comes first".to_string())
    }

    fn running(&mut self) -> Result<&mut Session, String> {
        if self.session.is_some() && !self.runs {
            return Err("it has not begun yet: `configurationDone` comes first, or it has ended: restart it"
                .to_string());
        }
        self.session()
    }

    fn moved(&mut self, to: Move) -> Reply {
        self.running()?;
        Ok((json!({}), Then::Move(to)))
    }

    fn go(&mut self, to: Move, interrupted: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        if session.is_over() && !matches!(to, Move::Back | Move::Cause) {
            return self.terminate();
        }
        let stop = session.go(to, &self.breakpoints, interrupted);
        self.show(stop)
    }

    /// Tells what happened, and that it stands.
    fn show(&mut self, stop: Stop) -> io::Result<()> {
        self.say()?;
        self.frames.clear();
        self.handles.clear();
        self.targets.clear();
        let lane = self.session.as_ref().map_or(0, Session::lane);
        let mut body = json!({
            "reason": stop.reason, "description": stop.description, "text": stop.text,
            "threadId": lane + 1, "allThreadsStopped": true,
        });
        if !stop.hit.is_empty() {
            body["hitBreakpointIds"] = json!(stop.hit);
        }
        self.stop = Some(stop);
        self.outbox.event("stopped", body)
    }

    fn say(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let schedule = session.machine.schedule();
        for said in std::mem::take(&mut session.said) {
            let (source, line) = session.listing.place(&schedule, said.step);
            let category = if said.is_bad { "stderr" } else { "stdout" };
            let body = json!({
                "category": category, "output": format!("{}\n", said.text),
                "source": source, "line": line - 1 + self.first,
            });
            self.outbox.event("output", body)?;
        }
        Ok(())
    }

    fn terminate(&mut self) -> io::Result<()> {
        self.say()?;
        if std::mem::take(&mut self.runs) {
            let broken = self.session.as_ref().and_then(Session::broken_in_words);
            self.outbox.event("exited", json!({ "exitCode": i32::from(broken.is_some()) }))?;
        }
        self.outbox.event("terminated", json!({}))
    }

    fn targets(&mut self, of: &Value) -> Result<Value, String> {
        let steps = self.running()?.machine.steps();
        let line = of["line"].as_u64().unwrap_or(self.first as u64);
        let target = |(at, step): (usize, &String)| json!({ "id": at + 1, "label": step, "line": line });
        let targets: Vec<Value> = steps.iter().enumerate().map(target).collect();
        self.targets = steps;
        Ok(json!({ "targets": targets }))
    }

    fn go_to(&mut self, of: &Value) -> Reply {
        self.running()?;
        let id = number(of, "targetId")?.checked_sub(1);
        let step = id.and_then(|at| self.targets.get(at as usize)).cloned().ok_or(
            "this target is none of those that `gotoTargets` gave at this place: ask for them again",
        )?;
        let breakpoints = &self.breakpoints;
        let session = self.session.as_mut().ok_or("nothing is being debugged")?;
        session.take(&step, breakpoints).map(|stop| (json!({}), Then::Show(stop)))
    }

    fn evaluate(&mut self, of: &Value) -> Reply {
        let text = of["expression"].as_str().ok_or("\"expression\" is missing, or no text")?;
        let by_hand = matches!(of["context"].as_str(), None | Some("repl"));
        let (breakpoints, runs) = (&self.breakpoints, self.runs);
        let session = self.session.as_mut().ok_or("nothing is being debugged yet")?;
        match evaluate(session, breakpoints, text, by_hand && runs)? {
            Answer::Value(var) => {
                let reference = self.handles.number(&var.parts);
                Ok((json!({ "result": var.value, "variablesReference": reference }), Then::Nothing))
            }
            Answer::Moved(stop) => {
                let body = json!({ "result": stop.text, "variablesReference": 0 });
                Ok((body, Then::Show(stop)))
            }
        }
    }

    // ---- Breakpoints ----

    fn set_breakpoints(&mut self, of: &Value) -> Result<Value, String> {
        let path =
            of["source"]["path"].as_str().ok_or("only files can have breakpoints: name one by its path")?;
        let first = self.first;
        let line = |item: &Value| item["line"].as_u64().map(|line| (line as usize).saturating_add(1 - first));
        let lines = if of["breakpoints"].is_null() {
            list(of, "lines", |line| line.as_u64().map(|line| (line as usize).saturating_add(1 - first)))?
        } else {
            list(of, "breakpoints", line)?
        };
        let here = Tree::find(None);
        let (tree, listing) = match &self.session {
            Some(session) => (&session.tree, Some(&session.listing)),
            None => (&here, None),
        };
        let mut set = self.breakpoints.set_lines(path, &lines, tree, listing);
        for breakpoint in set.as_array_mut().into_iter().flatten() {
            if let Some(line) = breakpoint["line"].as_u64() {
                breakpoint["line"] = json!(line as usize - 1 + first);
                breakpoint["source"] = json!({ "path": path });
            }
        }
        Ok(json!({ "breakpoints": set }))
    }

    // ---- Looking ----

    fn threads(&mut self) -> Result<Value, String> {
        let lanes = self.session.as_ref().map_or(&[][..], Session::lanes).iter().enumerate();
        let threads: Vec<Value> = lanes.map(|(at, name)| json!({ "id": at + 1, "name": name })).collect();
        Ok(json!({ "threads": threads }))
    }

    fn lane(&mut self, of: &Value) -> Result<usize, String> {
        let lanes = self.session()?.lanes().len();
        let lane = number(of, "threadId")?.checked_sub(1).filter(|lane| (*lane as usize) < lanes);
        lane.map(|lane| lane as usize)
            .ok_or_else(|| format!("there is no such thread; there are 1 to {lanes}"))
    }

    fn stack(&mut self, of: &Value) -> Result<Value, String> {
        let lane = self.lane(of)?;
        if self.frames.len() > FRAMES_MAX {
            return Err("too many stacks were asked for at this place: step on, or back".to_string());
        }
        let stack = frames::stack(self.running()?, lane);
        let start = of["startFrame"].as_u64().unwrap_or(0) as usize;
        let levels = of["levels"].as_u64().filter(|levels| *levels > 0).unwrap_or(u64::MAX) as usize;
        let (first, total) = (self.first, stack.len());
        let mut shown = Vec::new();
        for frame in stack.into_iter().skip(start).take(levels) {
            let mut told = json!({ "id": self.frames.len() + 1, "name": frame.name, "line": 0, "column": 0 });
            match &frame.place {
                Some((source, line)) => {
                    told["source"] = source.clone();
                    (told["line"], told["column"]) = (json!(line - 1 + first), json!(first));
                }
                None => told["presentationHint"] = json!("subtle"),
            }
            shown.push(told);
            self.frames.push(frame);
        }
        Ok(json!({ "stackFrames": shown, "totalFrames": total }))
    }

    fn scopes(&mut self, of: &Value) -> Result<Value, String> {
        let id = number(of, "frameId")?.checked_sub(1);
        let frame = id.and_then(|at| self.frames.get(at as usize));
        let frame = frame.ok_or(
            "this frame is none of those that were shown since the last stop: ask for the stack again",
        )?;
        let session = self.session.as_ref().ok_or("nothing is being debugged")?;
        let scopes = scopes::scopes(session, frame).into_iter().map(|scope| {
            let hint = if scope.name == "Event" { "arguments" } else { "locals" };
            json!({
                "name": scope.name, "variablesReference": self.handles.number(&scope.parts),
                "presentationHint": hint, "expensive": false,
            })
        });
        Ok(json!({ "scopes": scopes.collect::<Vec<_>>() }))
    }

    fn variables(&mut self, of: &Value) -> Result<Value, String> {
        let (start, count) = (of["start"].as_u64().unwrap_or(0), of["count"].as_u64().unwrap_or(0));
        let variables =
            self.handles.variables(number(of, "variablesReference")?, start as usize, count as usize);
        let variables =
            variables.ok_or("these variables are none of those that were shown since the last stop")?;
        Ok(json!({ "variables": variables }))
    }

    fn source(&mut self, of: &Value) -> Result<Value, String> {
        let given = of["source"]["sourceReference"].as_u64().filter(|number| *number > 0);
        let reference = given.map_or_else(|| number(of, "sourceReference"), Ok)?;
        let text = self.session()?.listing.text(reference);
        let text = text.ok_or("this source is none of those that frames have named")?;
        Ok(json!({ "content": text, "mimeType": "text/plain" }))
    }

    fn exception(&mut self) -> Result<Value, String> {
        let stop = self.stop.as_ref().and_then(|stop| Some((stop.broken.as_ref()?, &stop.text)));
        let (broken, text) = stop.ok_or("it stands at no broken promise")?;
        Ok(json!({ "exceptionId": broken, "description": text, "breakMode": "always" }))
    }
}

fn number(of: &Value, name: &str) -> Result<u64, String> {
    of[name].as_u64().ok_or_else(|| format!("\"{name}\" is missing, or no number"))
}

/// A list of things that are all read.
fn list<'a, T>(of: &'a Value, name: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Vec<T>, String> {
    let items = of[name].as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .map(read)
        .collect::<Option<_>>()
        .ok_or_else(|| format!("\"{name}\" lists what cannot be read"))
}
