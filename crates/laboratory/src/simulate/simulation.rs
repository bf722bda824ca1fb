//! The loop of a simulation: performs the actions that are due, and processes responses and letters.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use socialize::platform::clock::Clock;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::client::{Client, Exchange};
use super::intent::Intent;
use super::mailbox::{Letter, Mailbox};
use super::people::Time;
use super::requests::request_of;
use super::tally::Tally;
use super::target::Target;
use super::team::Team;
use crate::settings::Behaviour;

/// Maximum number of concurrent actions.
const MAX_IN_FLIGHT: usize = 64;
/// One action in 40 is made by a stranger: without a token, or to an unknown path.
const STRANGERS: u32 = 40;
/// A further team starts after the others have acted for this long, until there are enough.
const TEAM_EVERY: Duration = Duration::from_secs(3);

/// Target and behaviour of a simulation.
pub(crate) struct SimulationSettings {
    /// The Socialize that is driven.
    pub target: Target,
    /// Directory into which the target writes its e-mails.
    pub mail_directory: PathBuf,
    /// Maximum number of e-mails that stay in the directory; `None` keeps all.
    pub keep_mail: Option<usize>,
    /// Base URL of the workspaces' publishing endpoints. Without it, the teams publish by hand.
    pub publishes_to: Option<String>,
    /// Rate and seed of the actions.
    pub behaviour: Behaviour,
}

/// A simulation with its teams, ready to run.
pub(crate) struct Simulation {
    settings: SimulationSettings,
    tally: Tally,
    rng: StdRng,
    /// Distinguishes the addresses of this run from those of earlier runs against the same
    /// database.
    run: String,
    started: Instant,
    clock: Clock,
    teams: Vec<Active>,
    /// The owner of each address.
    addresses: HashMap<String, Position>,
    letters: mpsc::UnboundedReceiver<Letter>,
    under_way: JoinSet<Ended>,
    founded: u64,
    due: u64,
}

/// A team with its connections.
struct Active {
    team: Team,
    client: Client,
}

#[derive(Clone, Copy)]
struct Position {
    team: usize,
    person: usize,
}

/// A completed action. Strangers have no position.
struct Ended {
    position: Option<Position>,
    intent: Intent,
    exchange: Exchange,
}

impl Simulation {
    /// Prepares the simulation; [`Simulation::run`] starts it.
    ///
    /// # Errors
    /// Returns an error if the mail directory cannot be read.
    pub(crate) fn new(settings: SimulationSettings, tally: Tally, clock: Clock) -> anyhow::Result<Self> {
        let directory = &settings.mail_directory;
        let mailbox = Mailbox::open(directory, settings.keep_mail)
            .with_context(|| format!("the mail directory {} cannot be read", directory.display()))?;
        let (sender, letters) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("simulated-mailbox".to_owned())
            .spawn(move || mailbox.deliver(&sender))
            .context("no thread can be started")?;
        Ok(Self {
            rng: StdRng::seed_from_u64(settings.behaviour.seed),
            settings,
            tally,
            run: format!("{:x}", rand::random::<u32>()),
            started: Instant::now(),
            clock,
            teams: Vec::new(),
            addresses: HashMap::new(),
            letters,
            under_way: JoinSet::new(),
            founded: 0,
            due: 0,
        })
    }

    /// Runs the simulation until the sender of `stopped` is dropped, then waits for pending
    /// responses.
    ///
    /// # Errors
    /// Returns an error if a client cannot be created.
    pub(crate) async fn run(mut self, mut stopped: watch::Receiver<()>) -> anyhow::Result<()> {
        self.started = Instant::now();
        let mut due = interval(Duration::from_secs_f64(1.0 / self.settings.behaviour.rate));
        // Actions that became due during a delay are still due: real users do not wait for a load
        // generator.
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            tokio::select! {
                ended = self.under_way.join_next(), if !self.under_way.is_empty() => self.take_in(ended)?,
                Some(letter) = self.letters.recv() => self.deliver(letter),
                _ = due.tick() => self.act()?,
                // Nothing is ever sent: an error means that the sender was dropped.
                changed = stopped.changed() => if changed.is_err() { break },
            }
        }
        while let Some(ended) = self.under_way.join_next().await {
            self.take_in(Some(ended))?;
        }
        Ok(())
    }

    fn now(&self) -> Time {
        self.started.elapsed()
    }

    fn wall_clock(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Performs the action that is due now.
    fn act(&mut self) -> anyhow::Result<()> {
        self.due += 1;
        self.found_teams()?;
        if self.under_way.len() >= MAX_IN_FLIGHT {
            self.tally.update(|driven| driven.held_back += 1);
            return Ok(());
        }
        if self.rng.random_ratio(1, STRANGERS) {
            self.send_stranger();
            return Ok(());
        }
        if !self.send_anybody() && !self.found_team_if_wanted()? {
            self.tally.update(|driven| driven.idle += 1);
        }
        Ok(())
    }

    /// Sends the action of a random person who wants to act. Returns whether there was one.
    fn send_anybody(&mut self) -> bool {
        let now = self.now();
        let mut order: Vec<usize> = (0..self.teams.len()).collect();
        order.shuffle(&mut self.rng);
        for team in order {
            let mut people: Vec<usize> = (0..self.teams[team].team.people.len()).collect();
            people.shuffle(&mut self.rng);
            for person in people {
                if let Some(intent) = self.teams[team].team.choose(person, now) {
                    self.send(Position { team, person }, intent);
                    return true;
                }
            }
        }
        false
    }

    fn send(&mut self, position: Position, intent: Intent) {
        let Active { team, client } = &mut self.teams[position.team];
        let Some(request) = request_of(&intent, team, position.person) else { return };
        team.people[position.person].is_busy = true;
        let client = client.clone();
        self.under_way.spawn(async move {
            let exchange = client.send(request).await;
            Ended { position: Some(position), intent, exchange }
        });
        self.report_in_flight();
    }

    fn send_stranger(&mut self) {
        let intent = if self.rng.random() { Intent::CallWithoutToken } else { Intent::CallUnknownPath };
        let Some(Active { team, client }) = self.teams.first_mut() else { return };
        let Some(request) = request_of(&intent, team, 0) else { return };
        let client = client.clone();
        self.under_way.spawn(async move {
            let exchange = client.send(request).await;
            Ended { position: None, intent, exchange }
        });
        self.report_in_flight();
    }

    fn report_in_flight(&self) {
        let in_flight = self.under_way.len() as u64;
        self.tally.update(|driven| driven.in_flight = in_flight);
    }

    fn take_in(&mut self, ended: Option<Result<Ended, tokio::task::JoinError>>) -> anyhow::Result<()> {
        let Some(ended) = ended else { return Ok(()) };
        let Ended { position, intent, exchange } = ended.context("a simulated person was lost")?;
        let mut judgement = intent.action().judge(&exchange.answered);
        if let Some(Position { team, person }) = position {
            let now = self.now();
            let answer = exchange.answered.as_ref().ok();
            judgement = self.teams[team].team.learn(now, person, &intent, judgement, answer);
        }
        self.tally.count(intent.action(), judgement, &exchange);
        self.report_in_flight();
        Ok(())
    }

    fn deliver(&mut self, letter: Letter) {
        // Others may use the same Socialize; ignore their letters.
        if let Some(Position { team, person }) = self.addresses.get(&letter.recipient) {
            self.teams[*team].team.people[*person].receive(letter.link);
        }
    }

    /// Replaces teams that are done, and starts further ones from time to time.
    fn found_teams(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        let is_done = |active: &Active| active.team.is_done(now);
        if let Some(done) = self.teams.iter().position(is_done) {
            for person in &self.teams[done].team.people {
                self.addresses.remove(&person.email);
            }
            return self.found_team(done);
        }
        let per_team = (self.settings.behaviour.rate * TEAM_EVERY.as_secs_f64()).ceil().max(1.0) as u64;
        if self.due % per_team == 1 || per_team == 1 {
            self.found_team_if_wanted()?;
        }
        Ok(())
    }

    fn found_team_if_wanted(&mut self) -> anyhow::Result<bool> {
        let wanted = (self.settings.behaviour.rate / 3.0).clamp(2.0, 200.0) as usize;
        let is_wanted = self.teams.len() < wanted;
        if is_wanted {
            self.found_team(self.teams.len())?;
        }
        Ok(is_wanted)
    }

    /// Starts a new team in the place of one that is done, or as an additional one.
    fn found_team(&mut self, position: usize) -> anyhow::Result<()> {
        let number = self.founded;
        self.founded += 1;
        // Every team has its own seed, so its choices do not depend on the number of other teams.
        let mut rng = StdRng::seed_from_u64(self.settings.behaviour.seed ^ number.rotate_left(32));
        let tag = format!("{}-{number}", self.run);
        let team =
            Team::new(&mut rng, &tag, self.settings.publishes_to.clone(), self.wall_clock(), self.now());
        let client = Client::new(&self.settings.target, number).context("no connection can be prepared")?;
        for (person, known) in team.people.iter().enumerate() {
            self.addresses.insert(known.email.clone(), Position { team: position, person });
        }
        let people = team.people.len() as u64;
        self.tally
            .update(|driven| (driven.teams, driven.people) = (driven.teams + 1, driven.people + people));
        let active = Active { team, client };
        match self.teams.get_mut(position) {
            Some(place) => *place = active,
            None => self.teams.push(active),
        }
        Ok(())
    }
}
