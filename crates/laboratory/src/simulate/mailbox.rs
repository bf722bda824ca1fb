//! The mailboxes of simulated people: a directory into which the server writes one `.eml` file per
//! e-mail.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mail_parser::MessageParser;
use socialize::platform::secret::Secret;
use tokio::sync::mpsc;

/// Minimum pause between two scans of the directory.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Ratio of the pause to the duration of the last scan. It bounds the processor time for a large
/// directory.
const REST_FACTOR: u32 = 20;

/// An e-mail, reduced to its recipient and link.
pub(super) struct Letter {
    pub recipient: String,
    pub link: Link,
}

/// A link with a token.
pub(super) enum Link {
    VerifyEmail(Secret),
    ResetPassword(Secret),
    /// Makes the recipient a member of a workspace.
    AcceptInvite(Secret),
}

/// Scans a directory and delivers new letters.
pub(super) struct Mailbox {
    directory: PathBuf,
    seen: HashSet<OsString>,
    /// Maximum number of e-mails in the directory; the oldest are deleted.
    keep: Option<usize>,
}

impl Mailbox {
    /// Opens a directory. E-mails that are already there were meant for others and are skipped.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be read.
    pub(super) fn open(directory: &Path, keep: Option<usize>) -> io::Result<Self> {
        let seen = list(directory)?.into_iter().collect();
        Ok(Self { directory: directory.to_owned(), seen, keep })
    }

    /// Delivers letters until the receiver is dropped. It blocks, so run it on its own thread.
    pub(super) fn deliver(mut self, letters: &mpsc::UnboundedSender<Letter>) {
        while !letters.is_closed() {
            let started = Instant::now();
            for letter in self.look() {
                // The loop notices a closed channel.
                let _ = letters.send(letter);
            }
            std::thread::sleep((started.elapsed() * REST_FACTOR).max(LOOK_EVERY));
        }
    }

    /// Returns the letters since the last scan. An unreadable directory has none: the server, which
    /// writes to it, reports the error.
    fn look(&mut self) -> Vec<Letter> {
        let mut names = list(&self.directory).unwrap_or_default();
        let new: Vec<OsString> = names.iter().filter(|name| !self.seen.contains(*name)).cloned().collect();
        let letters =
            new.iter().filter_map(|name| read_letter(&fs::read(self.directory.join(name)).ok()?)).collect();
        if let Some(keep) = self.keep
            && names.len() > keep
        {
            // The names are ids that increase with time.
            names.sort_unstable();
            for name in names.drain(..names.len() - keep) {
                let _ = fs::remove_file(self.directory.join(name));
            }
        }
        self.seen = names.into_iter().collect();
        letters
    }
}

fn list(directory: &Path) -> io::Result<Vec<OsString>> {
    let entries = fs::read_dir(directory)?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    Ok(names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "eml")).collect())
}

fn read_letter(bytes: &[u8]) -> Option<Letter> {
    let message = MessageParser::new().parse(bytes)?;
    let recipient = message.to()?.first()?.address()?.to_owned();
    let text = message.body_text(0)?;
    let link = text.split_whitespace().find_map(read_link)?;
    Some(Letter { recipient, link })
}

/// Parses a link whose token follows `#`, which browsers do not send to servers.
fn read_link(word: &str) -> Option<Link> {
    let (page, token) = word.split_once("#token=")?;
    let token = Secret::new(token);
    match page.rsplit('/').next()? {
        "verify-email" => Some(Link::VerifyEmail(token)),
        "reset-password" => Some(Link::ResetPassword(token)),
        "accept-invite" => Some(Link::AcceptInvite(token)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: &str = "From: Socialize <socialize@demo.example>\r\n\
        To: ada@north.example\r\n\
        Subject: Confirm your e-mail address\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative; boundary=\"b\"\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Hello Ada =E2=80=93\r\n\r\nConfirm:\r\n\
        http://localhost:8080/verify-email#token=3DAbC-d_=\r\nEfG\r\n\r\n--b\r\n\
        Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hello</p>\r\n--b--\r\n";

    #[test]
    fn a_link_is_found_in_an_encoded_letter() {
        let letter = read_letter(LETTER.as_bytes()).expect("a letter");
        assert_eq!(letter.recipient, "ada@north.example");
        let Link::VerifyEmail(token) = letter.link else { panic!("another link") };
        assert_eq!(token.expose(), "AbC-d_EfG");
    }

    #[test]
    fn what_has_no_link_is_no_letter() {
        assert!(read_letter(b"").is_none());
        assert!(read_letter(b"To: ada@north.example\r\n\r\nhttp://localhost/content-items/1").is_none());
        assert!(read_letter(LETTER.replace("verify-email", "elsewhere").as_bytes()).is_none());
    }

    #[test]
    fn only_new_letters_are_delivered_and_only_so_many_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str| fs::write(directory.path().join(name), LETTER).expect("a file");
        write("0.eml");
        let mut mailbox = Mailbox::open(directory.path(), Some(2)).expect("a mailbox");
        assert!(mailbox.look().is_empty(), "old letters were meant for somebody else");

        write("1.eml");
        write(".2.unfinished");
        assert_eq!(mailbox.look().len(), 1);
        assert!(mailbox.look().is_empty());

        write("3.eml");
        assert_eq!(mailbox.look().len(), 1);
        let mut left = list(directory.path()).expect("a directory");
        left.sort_unstable();
        assert_eq!(left, ["1.eml", "3.eml"]);
    }
}
