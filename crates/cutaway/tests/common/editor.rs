//! A small client of the Debug Adapter Protocol, as an editor is one.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// `cutaway debug`, and what it has said.
pub struct Editor {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    seq: u64,
    events: VecDeque<Value>,
    /// Everything that was printed.
    pub printed: String,
}

impl Editor {
    /// It runs, and was asked for nothing.
    pub fn start() -> Editor {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cutaway"))
            .arg("debug")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Editor { child, input, output, seq: 0, events: VecDeque::new(), printed: String::new() }
    }

    /// It was told what to debug, and waits for breakpoints.
    pub fn launch(arguments: Value) -> Editor {
        let mut editor = Editor::start();
        editor.ask("initialize", json!({ "adapterID": "cutaway", "linesStartAt1": true }));
        editor.ask("launch", arguments);
        editor.event("initialized");
        editor
    }

    /// Bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        // One that has hung up already has said why.
        let _ = self.input.as_mut().expect("it is open").write_all(bytes);
    }

    /// The answer to a request.
    pub fn request(&mut self, command: &str, arguments: Value) -> Value {
        self.seq += 1;
        let seq = self.seq;
        let body = json!({ "seq": seq, "type": "request", "command": command, "arguments": arguments });
        let body = body.to_string();
        self.send(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        loop {
            let message = self.read().unwrap_or_else(|| panic!("no answer to {command}"));
            if message["type"] == "response" {
                assert_eq!(message["request_seq"], seq, "{message}");
                return message;
            }
            self.events.push_back(message);
        }
    }

    /// The body of the answer to a request that succeeds.
    pub fn ask(&mut self, command: &str, arguments: Value) -> Value {
        let answer = self.request(command, arguments);
        assert_eq!(answer["success"], true, "{answer}");
        answer["body"].clone()
    }

    /// Why a request does not succeed.
    pub fn refused(&mut self, command: &str, arguments: Value) -> String {
        let answer = self.request(command, arguments);
        assert_eq!(answer["success"], false, "{answer}");
        answer["message"].as_str().expect("it says why").to_string()
    }

    /// The next event of this name; what is printed before it is kept.
    pub fn event(&mut self, name: &str) -> Value {
        loop {
            let event = self.events.pop_front().or_else(|| self.read());
            let event = event.unwrap_or_else(|| panic!("no {name}; printed: {}", self.printed));
            if event["event"] == "output" {
                self.printed.push_str(event["body"]["output"].as_str().unwrap());
            }
            if event["event"] == name {
                return event["body"].clone();
            }
            assert_eq!(event["event"], "output", "{name} was due");
        }
    }

    /// Moves, and says where it stands then.
    pub fn go(&mut self, command: &str) -> Value {
        self.ask(command, json!({ "threadId": 1 }));
        self.event("stopped")
    }

    /// The stack of the thread that stopped.
    pub fn stack(&mut self, stopped: &Value) -> Vec<Value> {
        let stack = self.ask("stackTrace", json!({ "threadId": stopped["threadId"] }));
        assert_eq!(stack["totalFrames"], stack["stackFrames"].as_array().unwrap().len());
        stack["stackFrames"].as_array().unwrap().clone()
    }

    /// All that is shown of a frame, with all its parts.
    pub fn scopes(&mut self, frame: &Value) -> Value {
        let scopes = self.ask("scopes", json!({ "frameId": frame["id"] }));
        let all = scopes["scopes"].as_array().unwrap().iter();
        all.map(|scope| json!([scope["name"], self.parts(&scope["variablesReference"])])).collect()
    }

    /// The variables of a number, with all their parts.
    pub fn parts(&mut self, reference: &Value) -> Value {
        if *reference == 0 {
            return Value::Null;
        }
        let parts = self.ask("variables", json!({ "variablesReference": reference }));
        let parts = parts["variables"].as_array().unwrap().clone();
        parts.iter().map(|v| json!([v["name"], v["value"], self.parts(&v["variablesReference"])])).collect()
    }

    /// The value of what is typed into the console.
    pub fn value(&mut self, expression: &str) -> String {
        let value = self.ask("evaluate", json!({ "expression": expression, "context": "repl" }));
        value["result"].as_str().unwrap().to_string()
    }

    /// Nothing more is asked: its exit code, and what it says on standard error.
    pub fn end(mut self) -> (Option<i32>, String) {
        drop(self.input.take());
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), errors)
    }

    fn read(&mut self) -> Option<Value> {
        let mut length = None;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", bytes)) => length = bytes.parse().ok(),
                _ if line == "\r\n" => break,
                _ => panic!("standard output carries nothing but messages: {line}"),
            }
        }
        let mut body = vec![0; length.expect("a length")];
        self.output.read_exact(&mut body).ok()?;
        Some(serde_json::from_slice(&body).expect("a message is JSON"))
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The line of a file that a frame shows.
pub fn line(frame: &Value) -> String {
    let path = frame["source"]["path"].as_str().unwrap_or_else(|| panic!("no source: {frame}"));
    let text = std::fs::read_to_string(path).unwrap();
    let number = frame["line"].as_u64().unwrap() as usize;
    text.lines().nth(number - 1).unwrap_or_else(|| panic!("no such line: {frame}")).to_string()
}
