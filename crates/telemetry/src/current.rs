//! The operation that this thread is working on: whose child a new span is, and where a handler leaves ids for the record.
//!
//! A future carries its [`Scope`] and puts it into a thread-local for the time of each poll. A child therefore needs no
//! look-up and no allocation, and a scope can never be left behind on a thread that goes on to other work.
//!
//! Scopes are larger than anything else that a request carries and are handed over twice at each poll, so they are boxed; a thread
//! keeps those that it has used for its next operations, so in the long run none is allocated.

use std::cell::RefCell;
use std::panic::Location;

use crate::ErrorType;
use crate::attribute::{Attributes, Key};
use crate::measurement::Identity;
use crate::record::{Operation, Record};
use crate::trace::SpanContext;

static CODE_LOCATION: Key = Key("code.location");
static DATABASE_OPERATIONS: Key = Key("db.operations");
static DATABASE_DURATION: Key = Key("db.duration_ms");

thread_local! {
    static CURRENT: RefCell<Option<Box<Scope>>> = const { RefCell::new(None) };

    #[expect(clippy::vec_box, reason = "a scope keeps its place in memory; only its address is moved")]
    static SPARE: RefCell<Vec<Box<Scope>>> = const { RefCell::new(Vec::new()) };
}

/// How many used scopes a thread keeps: as many as requests begin and end between two moments at which none is running, in an
/// application that is busy. They take some hundred bytes each.
const MOST_SPARE: usize = 64;

/// The state of an operation while it runs.
#[derive(Debug)]
pub struct Scope {
    /// The operation's own span; its children name it as their parent.
    pub(crate) identity: Identity,
    /// What the record will carry.
    pub attributes: Attributes,
    /// Why the operation failed, where whoever noticed is not whoever finishes the record.
    pub error_type: Option<ErrorType>,
    /// How many database operations were made within it.
    pub database_operations: u64,
    /// How long they took together.
    pub database_nanoseconds: u64,
}

impl Scope {
    /// A scope in which nothing has happened yet.
    pub(crate) fn begin(identity: Identity) -> Box<Self> {
        // A thread that is about to end has no spare ones any more.
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let Some(mut scope) = spare else {
            return Box::new(Self {
                identity,
                attributes: Attributes::default(),
                error_type: None,
                database_operations: 0,
                database_nanoseconds: 0,
            });
        };
        scope.identity = identity;
        scope.attributes.clear();
        scope.error_type = None;
        scope.database_operations = 0;
        scope.database_nanoseconds = 0;
        scope
    }

    /// Gives a scope back whose record has been made.
    pub(crate) fn end(self: Box<Self>) {
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push(self);
            }
        });
    }

    /// The record of the operation, which ends now, with what was added up while it ran.
    pub(crate) fn record<'a>(&'a mut self, operation: &'a Operation, outcome: usize) -> Record<'a> {
        if self.database_operations > 0 {
            self.attributes.number(&DATABASE_OPERATIONS, self.database_operations);
            self.attributes.milliseconds(&DATABASE_DURATION, self.database_nanoseconds);
        }
        self.identity.record(operation, outcome, &self.attributes)
    }
}

/// The span that a new operation on this thread would be a child of.
pub fn context() -> Option<SpanContext> {
    CURRENT.with_borrow(|current| current.as_ref().map(|scope| scope.identity.context))
}

/// Changes the current scope; does nothing outside any operation.
pub fn update(change: impl FnOnce(&mut Scope)) {
    CURRENT.with_borrow_mut(|current| current.as_deref_mut().map(change));
}

/// Adds attributes to the record of the current operation.
pub fn set(change: impl FnOnce(&mut Attributes)) {
    update(|scope| change(&mut scope.attributes));
}

/// Says why the current operation failed, and where in the code that was noticed.
pub fn fail(error_type: ErrorType, location: &'static Location<'static>) {
    update(|scope| {
        scope.error_type = Some(error_type);
        scope.attributes.location(&CODE_LOCATION, location);
    });
}

/// Runs `work` with `scope` as the current one, and takes the scope back afterwards, also when `work` panics.
pub(crate) fn within<T>(scope: &mut Option<Box<Scope>>, work: impl FnOnce() -> T) -> T {
    struct Restore<'a>(&'a mut Option<Box<Scope>>);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.0));
        }
    }
    CURRENT.with_borrow_mut(|current| std::mem::swap(current, scope));
    let _restore = Restore(scope);
    work()
}
