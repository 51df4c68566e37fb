//! Schedules written by hand, with what the replicas say to them: the files in `stories/`.
//!
//! A story is a text that can be read without knowing the code. Lines that begin with `#` are its words, lines that begin
//! with `>` are steps (see [`crate::cluster`]; behind `> device NAME` those of one device, see `device::play`), and the
//! lines below a step are what came of it: the events of the replicas, as sentences. Running a story takes its steps again and writes the lines below them anew, so a change in
//! behaviour is a difference that a person can read. The replicas are the real rules; below them is the device model of
//! the checker.

use trace::Mechanisms;

use crate::cluster::nodes::Nodes;
use crate::cluster::stage::Stage;
use crate::cluster::{Goal, Setting, Step};
use crate::device::play;

/// Takes the steps of `text` and returns the story with the lines below each step written anew. An error names the
/// line that is no step, or not possible.
pub fn run(text: &str) -> Result<String, String> {
    let mut told = String::new();
    let mut setting: Option<Setting> = None;
    let mut stage: Option<Stage<Nodes>> = None;
    let mut device: Option<play::Stage> = None;
    for line in text.lines() {
        let Some(command) = line.strip_prefix("> ") else {
            if line.is_empty() || line.starts_with('#') {
                told.push_str(line);
                told.push('\n');
            }
            continue;
        };
        told.push_str(line);
        told.push('\n');
        let at_line = |why| format!("`{line}`: {why}");
        if let Some(device) = &mut device {
            told.extend(device_output(device, command).map_err(at_line)?);
            continue;
        }
        if let (None, Some(name)) = (&setting, command.strip_prefix("device ")) {
            device = Some(play::Stage::new(name, Mechanisms::all()).map_err(at_line)?);
            continue;
        }
        match &mut setting {
            None => setting = Some(command.parse().map_err(at_line)?),
            Some(setting) => {
                if stage.is_none() && setting.more(command).map_err(at_line)?.is_some() {
                    continue;
                }
                if setting.goal == Goal::Betrayal {
                    setting.goal = Goal::Invariant;
                }
                let stage = match &mut stage {
                    Some(stage) => stage,
                    none => none.insert(Stage::new(setting, Mechanisms::all()).map_err(at_line)?),
                };
                let step: Step = command.parse().map_err(at_line)?;
                for line in output(stage, &step).map_err(at_line)? {
                    told.push_str("    ");
                    told.push_str(&line);
                    told.push('\n');
                }
            }
        }
    }
    Ok(told)
}

fn device_output(stage: &mut play::Stage, step: &str) -> Result<Vec<String>, String> {
    let done = stage.take(step)?;
    let mut lines: Vec<String> = done.events.iter().map(trace::Event::sentence).collect();
    lines.extend(done.told);
    lines.extend(stage.broken().map(|broken| format!("BROKEN {broken}")));
    Ok(lines.into_iter().map(|line| format!("    {line}\n")).collect())
}

fn output(stage: &mut Stage<Nodes>, step: &Step) -> Result<Vec<String>, String> {
    let done = stage.take(step).map_err(|why| format!("{why}\n{}", stage.state().join("\n")))?;
    let told = done.events.iter().map(|event| match event.kind.mechanism() {
        Some(mechanism) => format!("{} [{mechanism}]", event.sentence()),
        None => event.sentence(),
    });
    let mut lines: Vec<String> = told.collect();
    if *step == Step::State {
        lines.extend(stage.state());
    }
    lines.extend(done.client.iter().map(|line| format!("client: {line}")));
    lines.extend(stage.broken().map(|broken| format!("BROKEN {broken}")));
    Ok(lines)
}
