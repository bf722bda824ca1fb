//! A mail server that accepts or rejects everything on request, with the subset of SMTP that Socialize uses.
//! Recipients called `mistyped-…` do not exist, and e-mails to `greylisted…` are deferred at first.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Response to senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Takes,
    Defers,
    /// Rejects because of the content.
    Refuses,
}

const MOODS: [Mood; 3] = [Mood::Takes, Mood::Defers, Mood::Refuses];

/// Stores letters in a directory, where simulated people find them.
#[derive(Clone)]
pub(super) struct MailServer {
    directory: PathBuf,
    mood: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
    greylisted: Arc<AtomicUsize>,
}

/// Attempts until a greylisted sender is accepted: the fourth one, a minute after the first.
const GREYLISTED_FOR: usize = 3;

impl MailServer {
    pub(super) async fn start(address: &str, directory: &str) -> Self {
        std::fs::create_dir_all(directory).expect("a directory");
        let listener = TcpListener::bind(address).await.expect("a port");
        let server = Self {
            directory: directory.into(),
            mood: Arc::default(),
            taken: Arc::default(),
            greylisted: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = accepting.clone();
                // Clients may disconnect at any time.
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        server
    }

    pub(super) fn set(&self, mood: Mood) {
        self.mood.store(mood as usize, Ordering::Relaxed);
    }

    fn is_greylisted(&self) -> bool {
        self.greylisted.fetch_add(1, Ordering::Relaxed) < GREYLISTED_FOR
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(b"220 mail.example.com\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let command = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            let mood = MOODS[self.mood.load(Ordering::Relaxed)];
            let reply = match (command.as_str(), mood) {
                ("EHLO", _) => "250-mail.example.com\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
                ("MAIL", Mood::Defers) => "451 4.3.0 not now\r\n",
                ("RCPT", _) if line.contains("<mistyped-") => "550 5.1.1 unknown\r\n",
                ("RCPT", _) if line.contains("<greylisted") && self.is_greylisted() => {
                    "450 4.7.1 come back later\r\n"
                }
                ("DATA", _) => {
                    writer.write_all(b"354 go on\r\n").await?;
                    let mut letter = String::new();
                    while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                        letter.push_str(line.strip_prefix('.').unwrap_or(&line));
                        letter.push_str("\r\n");
                    }
                    if mood == Mood::Refuses {
                        writer.write_all(b"554 5.6.0 not this\r\n").await?;
                        continue;
                    }
                    let number = self.taken.fetch_add(1, Ordering::Relaxed);
                    // Renamed when complete, because readers watch the directory.
                    let (partial, whole) = (format!("{number:06}.partial"), format!("{number:06}.eml"));
                    std::fs::write(self.directory.join(&partial), letter)?;
                    std::fs::rename(self.directory.join(partial), self.directory.join(whole))?;
                    "250 taken\r\n"
                }
                ("QUIT", _) => "221 bye\r\n",
                _ => "250 fine\r\n",
            };
            writer.write_all(reply.as_bytes()).await?;
            if command == "QUIT" {
                break;
            }
        }
        Ok(())
    }
}
