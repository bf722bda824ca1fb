//! Output of view states: live on a terminal, otherwise as plain lines.

use std::fs::File;
use std::io::{self, IsTerminal, Stdout, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use socialize::platform::interrupts::Interrupts;
use tokio::sync::watch;

use super::about::About;
use super::screen;
use super::view_state::ViewState;

/// Polling interval for keys and new states.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Maximum time for restoring the terminal.
const END_LIMIT: Duration = Duration::from_secs(1);
/// Interval between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) enum View {
    Live(LiveView),
    Plain(PlainView),
}

impl View {
    /// Starts the live view if it is possible and wanted.
    pub(super) fn start(about: About, plain: bool, interrupts: Interrupts) -> Self {
        let is_possible = io::stdout().is_terminal() && !plain;
        match is_possible.then(|| LiveView::start(about, interrupts)) {
            Some(Ok(live)) => Self::Live(live),
            // An unsuitable terminal, such as one without a keyboard.
            Some(Err(_)) | None => Self::Plain(PlainView { next: LINE_EVERY }),
        }
    }

    /// Shows a state; it replaces one that has not been drawn yet.
    pub(super) fn show(&mut self, state: ViewState) {
        match self {
            Self::Live(live) => _ = live.states.send_replace(Some(state)),
            Self::Plain(plain) => plain.show(&state),
        }
    }
}

/// Live view. A thread draws and reads keys, so that a slow terminal, or one stopped with Ctrl-S, blocks
/// nothing else. Dropping it restores the terminal.
pub(super) struct LiveView {
    states: watch::Sender<Option<ViewState>>,
    /// Closed when the thread has ended.
    ended: mpsc::Receiver<()>,
}

impl LiveView {
    fn start(about: About, interrupts: Interrupts) -> io::Result<Self> {
        let mut screen = Screen::take()?;
        let keyboard = Keyboard::find();
        let (states, mut newest) = watch::channel(None);
        let (ending, ended) = mpsc::channel();
        std::thread::Builder::new().name("demo-view".to_owned()).spawn(move || {
            let _ending: mpsc::Sender<()> = ending;
            // An error means that the terminal is gone, so nobody is watching.
            if watch_and_draw(&mut screen, keyboard.as_ref(), &about, &mut newest, &interrupts).is_err() {
                interrupts.hang_up();
            }
        })?;
        Ok(Self { states, ended })
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        // The thread ends when no further state can come, unless a write to the terminal blocks it.
        self.states = watch::Sender::new(None);
        let _ = self.ended.recv_timeout(END_LIMIT);
    }
}

enum Keyboard {
    StandardInput(io::Stdin),
    /// The controlling terminal, if standard input is something else.
    Terminal(File),
}

impl Keyboard {
    fn find() -> Option<Self> {
        let input = io::stdin();
        if input.is_terminal() {
            return Some(Self::StandardInput(input));
        }
        File::open("/dev/tty").ok().map(Self::Terminal)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::StandardInput(input) => input.as_fd(),
            Self::Terminal(terminal) => terminal.as_fd(),
        }
    }

    /// Waits for a key with a timeout. The library does not notice a closed terminal and would block forever.
    fn waits(&self) -> io::Result<bool> {
        let mut keyboard = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(LOOK_EVERY).unwrap_or(PollTimeout::ZERO);
        match poll(&mut keyboard, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let found = keyboard[0].revents().unwrap_or(PollFlags::empty());
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        if found.intersects(gone) { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(true) }
    }
}

fn watch_and_draw(
    screen: &mut Screen,
    keyboard: Option<&Keyboard>,
    about: &About,
    newest: &mut watch::Receiver<Option<ViewState>>,
    interrupts: &Interrupts,
) -> io::Result<()> {
    loop {
        let mut is_changed = false;
        let has_key = match keyboard {
            Some(keyboard) => keyboard.waits()?,
            // Without a keyboard, only draw.
            None => {
                std::thread::sleep(LOOK_EVERY);
                false
            }
        };
        if has_key && event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) if is_end(key) => interrupts.interrupt(),
                Event::Resize(..) => is_changed = true,
                _ => {}
            }
        }
        match newest.has_changed() {
            Ok(is_new) => is_changed |= is_new,
            Err(_) => return Ok(()),
        }
        if is_changed && let Some(state) = &*newest.borrow_and_update() {
            screen.terminal.draw(|frame| screen::draw(frame, about, state))?;
        }
    }
}

/// In raw mode Ctrl-C is a key.
fn is_end(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        KeyCode::Char('q') => true,
        _ => false,
    }
}

/// The terminal in raw mode. It is restored on every exit path, including a panic.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    fn take() -> io::Result<Self> {
        enable_raw_mode()?;
        // From here on dropping it restores the terminal, even if the next step fails.
        let screen = Terminal::new(CrosstermBackend::new(io::stdout())).map(|terminal| Self { terminal });
        if screen.is_err() {
            let _ = disable_raw_mode();
        }
        let mut screen = screen?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        screen.terminal.clear()?;
        screen.terminal.hide_cursor()?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), LeaveAlternateScreen);
        let _ = self.terminal.show_cursor();
    }
}

/// Prints a line at intervals.
pub(super) struct PlainView {
    next: Duration,
}

impl PlainView {
    fn show(&mut self, state: &ViewState) {
        if state.elapsed < self.next {
            return;
        }
        self.next = state.elapsed + LINE_EVERY;
        // If standard output is closed, the line is lost.
        let _ = writeln!(io::stdout(), "{}", plain_line(state));
    }
}

fn plain_line(state: &ViewState) -> String {
    let traffic = &state.traffic;
    let p95 = traffic.p95.map_or("–".to_owned(), |p95| format!("{:.1} ms", p95.as_secs_f64() * 1000.0));
    let wrong = state.usage.iter().filter(|count| !count.is_right()).count();
    let counters = if wrong == 0 {
        "all counters equal".to_owned()
    } else {
        format!("{wrong} counters ahead of the last count")
    };
    let total = state.driven.total();
    format!(
        "{:>6.1} s  {}  {:.1} requests/s  p95 {p95}  {:.1} % failed  {} ok  {} unexpected  {} e-mails  {} files  {} \
         published  {} jobs queued  {counters}",
        state.elapsed.as_secs_f64(),
        state.health.readiness,
        traffic.rate,
        traffic.failed * 100.0,
        total.ok,
        total.unexpected,
        state.emails.delivered,
        state.files.stored,
        state.posts.delivered,
        state.jobs.depth.unwrap_or_default(),
    )
}
