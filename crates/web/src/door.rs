//! How a browser calls the program: one text goes in, one comes out.
//!
//! The caller asks for room of so many bytes and writes its question there; it calls `play`, `states` or `simulate`, which
//! says how many bytes the answer has; and it reads them where `told` says. There is nothing to give back: both texts stay
//! until the next ones. `viewer/lab/core.js` is the other side.

// A function that is called by its name needs the attribute `no_mangle`, and the compiler counts that as unsafe, because two
// functions of one name would be linked as one. These five are the only ones. Nothing here dereferences a pointer.
#![allow(unsafe_code)]

use std::cell::RefCell;

use crate::answers;

thread_local! {
    static QUESTION: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static ANSWER: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Where a question of so many bytes is to be written.
#[unsafe(no_mangle)]
extern "C" fn room(bytes: usize) -> *mut u8 {
    QUESTION.with_borrow_mut(|question| {
        *question = vec![0; bytes];
        question.as_mut_ptr()
    })
}

/// Where the last answer is.
#[unsafe(no_mangle)]
extern "C" fn told() -> *const u8 {
    ANSWER.with_borrow(|answer| answer.as_ptr())
}

/// [`answers::play`].
#[unsafe(no_mangle)]
extern "C" fn play() -> usize {
    answer(answers::play)
}

/// [`answers::states`].
#[unsafe(no_mangle)]
extern "C" fn states() -> usize {
    answer(answers::states)
}

/// [`answers::simulate`].
#[unsafe(no_mangle)]
extern "C" fn simulate() -> usize {
    answer(answers::simulate)
}

fn answer(by: fn(&str) -> String) -> usize {
    let question = QUESTION.take();
    let told = by(&String::from_utf8_lossy(&question));
    let bytes = told.len();
    ANSWER.set(told);
    bytes
}
