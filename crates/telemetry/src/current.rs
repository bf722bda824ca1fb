//! The operation that this thread is working on: whose child a new span is, and where a handler leaves ids for the record.
//!
//! A future carries its [`Scope`] and puts it into a thread-local for the time of each poll. A child therefore needs no
//! look-up and no allocation, and a scope can never be left behind on a thread that goes on to other work.

use std::cell::RefCell;
use std::panic::Location;

use crate::ErrorType;
use crate::attribute::{Attributes, Key};
use crate::trace::SpanContext;

static CODE_LOCATION: Key = Key("code.location");
static DATABASE_OPERATIONS: Key = Key("db.operations");
static DATABASE_DURATION: Key = Key("db.duration_ms");

thread_local! {
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// The state of an operation while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// The operation's own span; its children name it as their parent.
    pub context: SpanContext,
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
    pub fn new(context: SpanContext) -> Self {
        Self {
            context,
            attributes: Attributes::default(),
            error_type: None,
            database_operations: 0,
            database_nanoseconds: 0,
        }
    }

    /// The attributes of the record, with what was added up while the operation ran.
    pub(crate) fn complete(&mut self) -> &Attributes {
        if self.database_operations > 0 {
            self.attributes.number(&DATABASE_OPERATIONS, self.database_operations);
            self.attributes.milliseconds(&DATABASE_DURATION, self.database_nanoseconds);
        }
        &self.attributes
    }
}

/// The span that a new operation on this thread would be a child of.
pub fn context() -> Option<SpanContext> {
    CURRENT.with_borrow(|current| current.as_ref().map(|scope| scope.context))
}

/// Changes the current scope; does nothing outside any operation.
pub fn update(change: impl FnOnce(&mut Scope)) {
    CURRENT.with_borrow_mut(|current| current.as_mut().map(change));
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
pub(crate) fn within<T>(scope: &mut Option<Scope>, work: impl FnOnce() -> T) -> T {
    struct Restore<'a>(&'a mut Option<Scope>);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.0));
        }
    }
    CURRENT.with_borrow_mut(|current| std::mem::swap(current, scope));
    let _restore = Restore(scope);
    work()
}
