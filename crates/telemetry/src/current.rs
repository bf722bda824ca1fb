//! The operation that this thread is working on. It is the parent of new spans and collects the ids
//! that handlers add to the record.
//!
//! A future owns its [`Scope`] and puts it into a thread-local during each poll. So a child finds
//! its parent without a look-up or an allocation, and a thread never keeps a scope while it does
//! other work.
//!
//! Scopes are larger than anything else that a request carries and are moved twice at each poll, so
//! they are boxed. A thread keeps used boxes for its next operations, so in steady state none is
//! allocated.

use std::cell::RefCell;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use signal::Key;

use crate::ErrorType;
use crate::attribute::Attributes;
use crate::identity::Identity;
use crate::record::{Operation, Record};
use crate::trace::SpanContext;
use crate::trace_state::TraceState;

static CODE_LOCATION: Key = Key("code.location");
static DATABASE_OPERATIONS: Key = Key("db.operations");
static DATABASE_DURATION: Key = Key("db.duration_ms");

thread_local! {
    static CURRENT: RefCell<Option<Box<Scope>>> = const { RefCell::new(None) };

    #[expect(clippy::vec_box, reason = "a scope keeps its place in memory; only its address is moved")]
    static SPARE: RefCell<Vec<Box<Scope>>> = const { RefCell::new(Vec::new()) };
}

/// The place of an operation in its trace, as other libraries and services see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Ids and sampling of the span.
    pub span: SpanContext,
    /// The `tracestate` that belongs to the trace.
    pub state: Option<TraceState>,
}

/// Maximum number of unused scopes that a thread keeps, some hundred bytes each. It covers the
/// requests that a busy application begins and ends between two idle moments.
const MOST_SPARE: usize = 64;

/// The state of an operation while it runs.
#[derive(Debug)]
pub struct Scope {
    /// Identity of the operation's own span, which is the parent of its children.
    pub(crate) identity: Identity,
    /// The `tracestate` of a trusted caller, which children share.
    pub(crate) trace_state: Option<TraceState>,
    /// Attributes of the record.
    pub attributes: Attributes,
    /// Reason for a failure, set by code that does not finish the record itself.
    pub error_type: Option<ErrorType>,
    /// Number of database operations within this operation.
    pub database_operations: u64,
    /// Total duration of those database operations.
    pub database_nanoseconds: u64,
}

impl Scope {
    /// Returns an empty scope, reusing one of this thread's unused boxes.
    #[inline]
    pub(crate) fn begin(identity: Identity, trace_state: Option<TraceState>) -> Box<Self> {
        // A thread that is ending has already dropped its unused scopes.
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let Some(mut scope) = spare else {
            return Box::new(Self {
                identity,
                trace_state,
                attributes: Attributes::default(),
                error_type: None,
                database_operations: 0,
                database_nanoseconds: 0,
            });
        };
        scope.identity = identity;
        scope.trace_state = trace_state;
        scope.attributes.clear();
        scope.error_type = None;
        scope.database_operations = 0;
        scope.database_nanoseconds = 0;
        scope
    }

    /// Returns the box to this thread's unused ones, after the record has been made.
    pub(crate) fn end(self: Box<Self>) {
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push(self);
            }
        });
    }

    /// Ends the operation now and returns its record, including the totals of its database
    /// operations.
    #[inline]
    pub(crate) fn record<'a>(&'a mut self, operation: &'a Operation, outcome: usize) -> Record<'a> {
        if self.database_operations > 0 {
            self.attributes.number(&DATABASE_OPERATIONS, self.database_operations);
            self.attributes.milliseconds(&DATABASE_DURATION, self.database_nanoseconds);
        }
        let trace_state = self.trace_state.as_ref();
        self.identity.record(operation, outcome, trace_state, &self.attributes)
    }
}

/// Returns the context of the span that would be the parent of a new operation on this thread.
pub fn context() -> Option<SpanContext> {
    CURRENT.with_borrow(|current| current.as_ref().map(|scope| scope.identity.context))
}

/// Returns the context with which another library or service joins the current operation.
pub fn trace_context() -> Option<TraceContext> {
    CURRENT.with_borrow(|current| {
        current
            .as_ref()
            .map(|scope| TraceContext { span: scope.identity.context, state: scope.trace_state.clone() })
    })
}

/// Returns the context that a new operation on this thread inherits.
pub(crate) fn parent() -> (Option<SpanContext>, Option<TraceState>) {
    CURRENT.with_borrow(|current| match current {
        Some(scope) => (Some(scope.identity.context), scope.trace_state.clone()),
        None => (None, None),
    })
}

/// Changes the current scope; does nothing outside any operation.
pub fn update(change: impl FnOnce(&mut Scope)) {
    CURRENT.with_borrow_mut(|current| current.as_deref_mut().map(change));
}

/// Adds attributes to the record of the current operation.
pub fn set(change: impl FnOnce(&mut Attributes)) {
    update(|scope| change(&mut scope.attributes));
}

/// Sets the error of the current operation, and the source location where it was noticed.
pub fn fail(error_type: ErrorType, location: &'static Location<'static>) {
    update(|scope| {
        scope.error_type = Some(error_type);
        scope.attributes.location(&CODE_LOCATION, location);
    });
}

/// Runs `work` with `scope` as the current scope. Takes the scope back afterwards, even if `work`
/// panics.
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

/// Runs `work` below a span that another library recorded: operations that begin within become its
/// children, and events carry its ids. Attributes that `work` adds still reach the record of the
/// operation around it.
pub fn within_context<T>(context: &TraceContext, work: impl FnOnce() -> T) -> T {
    let _guest = Guest::enter(context);
    work()
}

pin_project! {
    /// A future below a span of another library; see [`within_context`].
    pub struct WithinContext<F> {
        #[pin]
        work: F,
        context: TraceContext,
    }
}

/// Like [`within_context`], for a future.
pub fn within_context_async<F: Future>(context: TraceContext, work: F) -> WithinContext<F> {
    WithinContext { work, context }
}

impl<F: Future> Future for WithinContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _guest = Guest::enter(this.context);
        this.work.poll(context)
    }
}

/// Replaces the context of the current scope until it is dropped. Without a scope, it creates one that is
/// never recorded.
enum Guest {
    InScope(TraceContext),
    Alone,
}

impl Guest {
    fn enter(context: &TraceContext) -> Self {
        let TraceContext { span, state } = context.clone();
        CURRENT.with_borrow_mut(|current| match current {
            Some(scope) => Self::InScope(TraceContext {
                span: std::mem::replace(&mut scope.identity.context, span),
                state: std::mem::replace(&mut scope.trace_state, state),
            }),
            None => {
                *current = Some(Scope::begin(Identity::of_guest(span), state));
                Self::Alone
            }
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| match self {
            Self::InScope(own) => {
                if let Some(scope) = current {
                    scope.identity.context = own.span;
                    scope.trace_state = own.state.take();
                }
            }
            Self::Alone => {
                if let Some(scope) = current.take() {
                    scope.end();
                }
            }
        });
    }
}
