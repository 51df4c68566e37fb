//! `up`: a whole cluster on this machine, every node and gateway a child process.
//!
//! Either the whole cluster stands or nothing is left of the attempt: what can be checked (`plan.rs`) is checked before
//! the first child starts; a child that ends while starting takes all others with it. Afterwards nothing is started
//! again by itself: what somebody killed, to see what happens, stays dead until they say `restart`.
//!
//! Signals go only to children whose end this process has not yet been told of, so never to a process that got the same
//! number later: the number is forgotten in the very step that learns of the end, on the one thread that sends signals.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use dataplane::NodeId;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cut::Trouble;
use crate::founding;
use crate::manifest::Manifest;
use crate::plan::{self, DRAIN_PATIENCE, Process, UpFailure, UpOptions};
use crate::run::{Progress, Run, last_lines};

/// A cluster that does not serve by then takes orders already: one of them may be what it needs to serve.
const SERVING_PATIENCE: Duration = Duration::from_secs(15);
/// A member that has not shown itself by then stands still, or is in the middle of a sync.
const LOOK_PATIENCE: Duration = Duration::from_millis(600);
/// Its events take longer: they may be megabytes.
const TRACE_PATIENCE: Duration = Duration::from_secs(5);

/// One process of the cluster, and its present run.
struct Member {
    process: Process,
    run: Option<Run>,
    /// Who restarts it. Two at once would wait for the same end, start two runs, and lose sight of the first.
    restarting: Rc<tokio::sync::Mutex<()>>,
}

/// A running cluster.
pub struct Cluster {
    /// Where its data lies.
    pub dir: PathBuf,
    /// What it was founded as, and which nodes are started.
    pub manifest: RefCell<Manifest>,
    options: UpOptions,
    members: RefCell<BTreeMap<String, Member>>,
    /// Who asks the members something: the next one waits until they have answered.
    asking: tokio::sync::Mutex<()>,
    /// Nothing is started any more.
    stopping: Cell<bool>,
    /// Held as long as the cluster is up.
    _lock: File,
}

/// What can be done to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    /// Start, after stopping what still runs.
    Restart,
    /// Frames are dropped, lost, late or overtaken, by the process itself.
    Trouble(Trouble),
    /// Frames pass again.
    Heal,
    /// A node that was not here is formatted and started; it belongs to no shard before its cluster adds it.
    Found,
    /// A node that was removed from its cluster is stopped, and not started again.
    Dismiss,
}

impl std::str::FromStr for Action {
    type Err = ();
    fn from_str(name: &str) -> Result<Action, ()> {
        Ok(match name {
            "kill" => Action::Kill,
            "pause" => Action::Pause,
            "resume" => Action::Resume,
            "restart" => Action::Restart,
            "heal" => Action::Heal,
            "found" => Action::Found,
            "dismiss" => Action::Dismiss,
            trouble => Action::Trouble(trouble.parse()?),
        })
    }
}

impl Cluster {
    /// Checks everything, founds the cluster if the directory is new, starts all children, and waits until it serves, but
    /// no longer than [`SERVING_PATIENCE`]: then see [`Cluster::serving`]. Call it within a `LocalSet`. When `stop`
    /// resolves before that, everything is stopped again.
    pub async fn start(
        options: &UpOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<Rc<Cluster>, UpFailure> {
        let dir = plan::prepare_dir(&options.dir)?;
        let lock = plan::lock(&dir)?;
        let before = Manifest::read(&dir)?;
        let manifest = plan::reconcile(options, before.as_ref(), &dir)?;
        let processes = plan::members(&dir, &manifest, options).into_iter();
        let idle = |process| Member { process, run: None, restarting: Rc::default() };
        let members = processes.map(|(name, process)| (name, idle(process))).collect();
        plan::await_ports(&dir, &manifest, options.bind).await?;
        match &before {
            None => {
                let (dir, manifest) = (dir.clone(), manifest.clone());
                let founding = tokio::task::spawn_blocking(move || founding::found(&dir, &manifest));
                founding.await.expect("founding does not panic")?;
            }
            Some(before) => {
                founding::check_images(&dir, before)?;
                if *before != manifest {
                    manifest.write(&dir)?;
                }
            }
        }
        let cluster = Rc::new(Cluster {
            dir,
            manifest: RefCell::new(manifest),
            options: options.clone(),
            members: RefCell::new(members),
            asking: tokio::sync::Mutex::default(),
            stopping: Cell::new(false),
            _lock: lock,
        });
        let started = tokio::select! {
            started = cluster.start_all() => started,
            () = stop => Err(UpFailure::Interrupted),
        };
        if let Err(failure) = started {
            cluster.stop().await;
            return Err(failure);
        }
        Ok(cluster)
    }

    async fn start_all(&self) -> Result<(), UpFailure> {
        let names = |prefix| move |name: &String| name.starts_with(prefix);
        let all: Vec<String> = self.members.borrow().keys().cloned().collect();
        let nodes = all.iter().filter(|name| names('n')(name));
        let gateways: Vec<_> = all.iter().filter(|name| names('g')(name)).collect();
        for name in nodes.clone() {
            self.spawn(name)?;
        }
        for name in nodes {
            self.reached(name, Progress::Ready).await?;
        }
        for name in &gateways {
            self.spawn(name)?;
        }
        for name in &gateways {
            self.reached(name, Progress::Ready).await?;
        }
        if let Ok(result) = tokio::time::timeout(SERVING_PATIENCE, self.serving()).await {
            result?;
        }
        // A majority serves without a node that was ready and ended meanwhile; a good start it is not.
        for name in &all {
            self.reached(name, Progress::Ready).await?;
        }
        Ok(())
    }

    /// Waits until every gateway has seen a primary serve each shard, for as long as that takes: syncs may be slow, or a
    /// majority may not be there yet.
    pub async fn serving(&self) -> Result<(), UpFailure> {
        let all: Vec<String> = self.members.borrow().keys().cloned().collect();
        for gateway in all.iter().filter(|name| name.starts_with('g')) {
            self.reached(gateway, Progress::Serving).await?;
        }
        Ok(())
    }

    fn spawn(&self, name: &str) -> Result<(), UpFailure> {
        let mut members = self.members.borrow_mut();
        let member = members.get_mut(name).expect("only members are started");
        // The nodes that there are now: all that an earlier run was told of may have been replaced.
        let mut present = plan::members(&self.dir, &self.manifest.borrow(), &self.options);
        if let Some(process) = present.remove(name) {
            member.process = process;
        }
        member.run = Some(Run::start(name, &member.process)?);
        Ok(())
    }

    async fn reached(&self, name: &str, wanted: Progress) -> Result<(), UpFailure> {
        let (mut progress, log, log_start) = {
            let members = self.members.borrow();
            let member = &members[name];
            let run = member.run.as_ref().expect("it was started");
            (run.progress.clone(), member.process.log.clone(), run.log_start)
        };
        let far_enough = |p: &Progress| *p == wanted || matches!(p, Progress::Serving | Progress::Ended(_));
        let how = match progress.wait_for(far_enough).await.as_deref() {
            Ok(Progress::Ended(how)) => how.clone(),
            Ok(_) => return Ok(()),
            Err(_) => "gone".into(),
        };
        let last_lines = last_lines(&log, log_start).unwrap_or_default();
        Err(UpFailure::Child { name: name.to_owned(), how, last_lines, log })
    }

    /// What people and scripts are told of each member: name, pid, addresses.
    pub fn facts(&self) -> Vec<serde_json::Map<String, Value>> {
        let members = self.members.borrow();
        let facts = members.values().map(|member| {
            let mut facts = member.process.facts.clone();
            let pid = member.run.as_ref().and_then(|run| *run.pid.borrow());
            facts.insert("pid".into(), json!(pid.map(|pid| pid.as_raw_nonzero().get())));
            facts
        });
        facts.collect()
    }

    /// What the members show of themselves, those that answer in time; with what this process knows of each.
    pub async fn look(&self) -> Value {
        let looks = self.ask("look", LOOK_PATIENCE).await;
        let members = self.members.borrow();
        let shown = members.iter().map(|(name, member)| {
            let run = member.run.as_ref();
            let ended = run.and_then(|run| match &*run.progress.borrow() {
                Progress::Ended(how) => Some(how.clone()),
                _ => None,
            });
            let is = |flag: fn(&Run) -> &Cell<bool>| run.is_some_and(|run| flag(run).get());
            json!({
                "name": name, "pid": run.and_then(|run| run.pid.borrow().map(|pid| pid.as_raw_nonzero().get())),
                "ended": ended, "paused": is(|run| &run.paused), "isolated": is(|run| &run.isolated),
                "looks": looks.get(name),
            })
        });
        shown.collect()
    }

    /// From now on all members record every event, in memory and only the latest; or no longer.
    pub async fn record(&self, on: bool) {
        self.ask(if on { "record on" } else { "record off" }, LOOK_PATIENCE).await;
    }

    /// The events that the members remember: JSON Lines of each actor.
    pub async fn traces(&self) -> Vec<String> {
        let told = self.ask("trace", TRACE_PATIENCE).await;
        let texts = told.into_values().flat_map(|answer| match answer {
            Value::Array(shards) => shards,
            one => vec![one],
        });
        texts.filter_map(|text| text.as_str().map(String::from)).collect()
    }

    /// Asks all members the same, and returns what they answer in time.
    async fn ask(&self, question: &'static str, patience: Duration) -> BTreeMap<String, Value> {
        let _turn = self.asking.lock().await;
        let mut asked = Vec::new();
        for (name, member) in &*self.members.borrow() {
            let told = member.run.as_ref().and_then(|run| run.ask(question));
            asked.extend(told.map(|told| (name.clone(), told)));
        }
        let until = tokio::time::Instant::now() + patience;
        let mut answers = BTreeMap::new();
        for (name, told) in asked {
            if let Ok(Ok(answer)) = tokio::time::timeout_at(until, told).await {
                answers.insert(name, answer);
            }
        }
        answers
    }

    /// Does something to a member, and waits until it is done. The sentence says what was done.
    pub async fn act(&self, name: &str, action: Action) -> Result<String, String> {
        let signal = |signal| -> Result<(), String> {
            let members = self.members.borrow();
            let member = members.get(name).ok_or_else(|| self.nobody(name))?;
            let run = member.run.as_ref().filter(|run| run.pid.borrow().is_some());
            let run = run.ok_or(format!("{name} is down; next: restart {name}"))?;
            run.signal(signal).map_err(|e| format!("{name} cannot be signalled: {e}"))
        };
        match action {
            Action::Kill => {
                signal(Signal::KILL)?;
                self.ended(name).await;
                Ok(format!("{name} is killed; next: status, then restart {name}"))
            }
            Action::Pause => {
                signal(Signal::STOP)?;
                self.note(name, |run| run.paused.set(true));
                Ok(format!("{name} is paused; next: resume {name}"))
            }
            Action::Resume => {
                signal(Signal::CONT)?;
                self.note(name, |run| run.paused.set(false));
                Ok(format!("{name} runs again"))
            }
            Action::Trouble(_) | Action::Heal => {
                let trouble = if let Action::Trouble(trouble) = action { Some(trouble) } else { None };
                let cut = trouble.is_some_and(Trouble::is_a_cut);
                if cut && name.starts_with('g') {
                    return Err(format!("{name} is a gateway; only storage nodes can be isolated"));
                }
                signal(Signal::CONT)?; // A paused one could not obey.
                self.note(name, |run| {
                    run.paused.set(false);
                    run.isolated.set(cut);
                });
                self.order(name, trouble.map_or("heal", Trouble::order));
                Ok(match trouble {
                    Some(Trouble::Isolated) => format!("{name} is cut off from everybody; next: heal {name}"),
                    Some(Trouble::Mute) => format!("nobody hears {name}; next: heal {name}"),
                    Some(Trouble::Deaf) => format!("{name} hears nobody; next: heal {name}"),
                    Some(_) => format!("{name} hears the others badly; next: heal {name}"),
                    None => format!("{name} is connected again"),
                })
            }
            Action::Found => self.found_node(name).await,
            Action::Dismiss => {
                let node = name.strip_prefix('n').and_then(|n| n.parse().ok()).map(NodeId);
                let node = node
                    .filter(|_| self.members.borrow().contains_key(name))
                    .ok_or_else(|| self.nobody(name))?;
                self.drain(name).await;
                self.members.borrow_mut().remove(name);
                let others = self.manifest.borrow().starting(node, false);
                self.write(others)?;
                Ok(format!("{name} is stopped; its images stay where they are"))
            }
            Action::Restart => {
                let turn = self.members.borrow().get(name).map(|member| member.restarting.clone());
                let turn = turn.ok_or_else(|| self.nobody(name))?;
                let _turn = turn.lock().await;
                self.drain(name).await;
                if self.stopping.get() {
                    return Err("the cluster is stopping".into());
                }
                self.spawn(name).map_err(|e| e.to_string())?;
                self.reached(name, Progress::Ready).await.map_err(|e| e.to_string())?;
                Ok(format!("{name} is up again"))
            }
        }
    }

    /// Formats the images of a node that is not here, as those of one that joins, and starts it. What it says is where it
    /// listens.
    async fn found_node(&self, name: &str) -> Result<String, String> {
        let manifest = self.manifest.borrow().clone();
        if !manifest.chosen().changes_members() {
            return Err(
                "this cluster was founded with members that do not change; found one with --with membership"
                    .into(),
            );
        }
        let most = plan::MEMBERS_MAX;
        let number =
            name.strip_prefix('n').and_then(|n| n.parse::<u32>().ok()).filter(|n| (1..=most).contains(n));
        let node = number.map(NodeId).ok_or(format!("nodes that `up` starts are called n1 to n{most}"))?;
        let process = plan::storage_node(&self.dir, &manifest, &self.options, node);
        let listen = process.facts["listen"].as_str().unwrap_or_default().to_string();
        if self.members.borrow().contains_key(name) {
            return Ok(listen);
        }
        let dir = self.dir.clone();
        let formatting = tokio::task::spawn_blocking({
            let manifest = manifest.clone();
            move || founding::join(&dir, &manifest, node)
        });
        formatting.await.expect("formatting does not panic").map_err(|e| e.to_string())?;
        let member = Member { process, run: None, restarting: Rc::default() };
        self.members.borrow_mut().insert(name.to_owned(), member);
        self.write(manifest.starting(node, true))?;
        self.spawn(name).map_err(|e| e.to_string())?;
        self.reached(name, Progress::Ready).await.map_err(|e| e.to_string())?;
        Ok(listen)
    }

    fn write(&self, manifest: Manifest) -> Result<(), String> {
        manifest.write(&self.dir).map_err(|e| e.to_string())?;
        *self.manifest.borrow_mut() = manifest;
        Ok(())
    }

    fn nobody(&self, name: &str) -> String {
        let members = self.members.borrow();
        let names: Vec<_> = members.keys().map(String::as_str).collect();
        format!("there is no {name:?} here; there are {}", names.join(", "))
    }

    fn note(&self, name: &str, what: impl FnOnce(&Run)) {
        self.members.borrow().get(name).and_then(|member| member.run.as_ref()).map(what);
    }

    fn order(&self, name: &str, order: &'static str) {
        let members = self.members.borrow();
        if let Some(run) = members.get(name).and_then(|member| member.run.as_ref()) {
            let _ = run.orders.send(order); // It may have ended meanwhile.
        }
    }

    async fn ended(&self, name: &str) {
        let progress =
            self.members.borrow().get(name).and_then(|m| m.run.as_ref()).map(|run| run.progress.clone());
        if let Some(mut progress) = progress {
            let _ = progress.wait_for(|p| matches!(p, Progress::Ended(_))).await;
        }
    }

    /// Lets a member finish what is under way; after [`DRAIN_PATIENCE`] it is killed.
    async fn drain(&self, name: &str) {
        let signal = |signal| {
            let members = self.members.borrow();
            let run = members.get(name).and_then(|member| member.run.as_ref());
            run.map_or(Ok(()), |run| run.signal(signal))
        };
        // Errors mean that it has ended already, which is what is wanted.
        let _ = signal(Signal::CONT);
        self.order(name, "drain");
        if tokio::time::timeout(DRAIN_PATIENCE, self.ended(name)).await.is_err() {
            tracing::warn!("{name} does not stop by itself and is killed");
            let _ = signal(Signal::KILL);
            self.ended(name).await;
        }
    }

    /// Stops everything: first the gateways, which finish what clients wait for, then the nodes.
    pub async fn stop(&self) {
        self.stopping.set(true);
        let names: Vec<String> = self.members.borrow().keys().cloned().collect();
        for kind in ['g', 'n'] {
            let of_kind = names.iter().filter(|name| name.starts_with(kind));
            let drains: Vec<_> = of_kind.map(|name| self.drain(name)).collect();
            let mut drains: Vec<_> = drains.into_iter().map(Box::pin).collect();
            // All at once, and until the slowest is done.
            std::future::poll_fn(|cx| {
                drains.retain_mut(|drain| drain.as_mut().poll(cx).is_pending());
                if drains.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
    }
}
