//! Password hashing with Argon2id. It runs off the async threads and only a few hashes at a time, because
//! each deliberately takes much memory. Client networks get turns round-robin, so a flood of log-ins from one
//! network delays only its own. If the queue is full, the new request is refused, unless another network has
//! far more waiting requests: then one of those is refused instead.
//!
//! Memory is pooled. If it were freed each time, it would not return to the system: the allocator keeps
//! blocks of this size for each of its arenas, 40 times the memory in use.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, PasswordHash, Version};
use clap::Args;
use telemetry::ErrorType;

use crate::platform::client_address::ClientAddress;
use crate::platform::fair_queue::{FairQueue, Permit};
use crate::platform::secret::Secret;
use crate::platform::settings::{defaults, number};

/// Cost of password hashing, and its concurrency. The defaults are OWASP's recommendation for Argon2id.
#[derive(Args, Clone, Copy, Debug)]
pub struct PasswordHashing {
    // From the minimum of Argon2 to 4 GiB.
    /// Memory of a password hash in KiB. Hashes with another cost are replaced when their user logs
    /// in
    #[arg(long = "password-hash-memory", value_name = "KIB", env = "SOCIALIZE_PASSWORD_HASH_MEMORY")]
    #[arg(default_value = "19456", value_parser = number::<u32>(8..=4 << 20))]
    pub memory_kib: u32,
    /// Number of passes over that memory
    #[arg(
        long = "password-hash-iterations",
        value_name = "NUMBER",
        env = "SOCIALIZE_PASSWORD_HASH_ITERATIONS"
    )]
    #[arg(default_value = "2", value_parser = number::<u32>(1..=1_000))]
    pub iterations: u32,
    // Not a setting: the number of lanes, which are computed sequentially.
    #[arg(skip = 1_u32)]
    pub lanes: u32,
    /// Maximum number of concurrent password hashes [default: half of the processors, at most 8]
    #[arg(
        long = "password-hashes-at-once",
        value_name = "NUMBER",
        env = "SOCIALIZE_PASSWORD_HASHES_AT_ONCE"
    )]
    #[arg(default_value_t = half_of_the_processors(), hide_default_value = true)]
    #[arg(value_parser = number::<usize>(1..=1_024))]
    pub at_once: usize,
    // Not a setting: the maximum number of waiting requests.
    #[arg(skip = 32 * half_of_the_processors())]
    pub waiting: usize,
}

/// Leaves the other half to other work.
fn half_of_the_processors() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (processors / 2).clamp(1, 8)
}

impl Default for PasswordHashing {
    fn default() -> Self {
        defaults()
    }
}

pub struct Passwords {
    hasher: Arc<Hasher>,
    permits: FairQueue<ClientAddress>,
}

/// A permit to compute one hash.
pub type HashingPermit = Permit<ClientAddress>;

struct Hasher {
    argon2: Argon2<'static>,
    /// An unknown address is verified against this hash, so that it takes as long as a known one.
    nobodys_hash: StoredHash,
    /// Pool of memory blocks; grows to the highest concurrency seen.
    idle_memory: Mutex<Vec<Vec<Block>>>,
    computed: AtomicU64,
}

/// Parsed PHC string.
struct StoredHash {
    argon2: Argon2<'static>,
    salt: Salt,
    output: Output,
}

/// Reason why no hash was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingError(pub ErrorType);

/// Result of comparing a password with a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    Right {
        /// The stored hash has an outdated cost and should be replaced while the password is known.
        outdated: bool,
    },
    /// The password does not match, or there is no such account.
    Wrong,
}

impl Passwords {
    /// # Errors
    /// Returns an error if Argon2 rejects the settings.
    pub fn new(settings: PasswordHashing) -> anyhow::Result<Self> {
        anyhow::ensure!(settings.at_once > 0, "at least one password must be hashed at a time");
        let params = Params::new(settings.memory_kib, settings.iterations, settings.lanes, None)
            .context("these parameters are not possible with Argon2id")?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        // No password has this output: finding one means breaking Argon2.
        let output = rand::random::<[u8; Params::DEFAULT_OUTPUT_LEN]>();
        let output = Output::new(&output).context("no output of this length can be stored")?;
        let nobodys_hash = StoredHash { argon2: argon2.clone(), salt: Salt::generate(), output };
        let (idle_memory, computed) = (Mutex::default(), AtomicU64::new(0));
        let hasher = Hasher { argon2, nobodys_hash, idle_memory, computed };
        Ok(Self { hasher: Arc::new(hasher), permits: FairQueue::new(settings.at_once, settings.waiting) })
    }

    /// Waits for a permit of this client network.
    ///
    /// # Errors
    /// Returns an error if the queue is full.
    pub async fn permit(&self, client: ClientAddress) -> Result<HashingPermit, HashingError> {
        self.permits.permit(client).await.ok_or(HashingError(ErrorType::Unavailable))
    }

    /// Hashes a password with a new salt and returns a PHC string.
    ///
    /// # Errors
    /// Returns an error if the process is shutting down.
    pub async fn hash(&self, permit: HashingPermit, password: &Secret) -> Result<Secret, HashingError> {
        let password = password.clone();
        self.compute(permit, move |hasher| hasher.hash(&password)).await
    }

    /// Compares a password with a stored hash, or does the same work if there is none.
    ///
    /// # Errors
    /// Returns an error if the process is shutting down.
    pub async fn verify(
        &self,
        permit: HashingPermit,
        password: &Secret,
        stored: Option<&Secret>,
    ) -> Result<Verification, HashingError> {
        let (password, stored) = (password.clone(), stored.cloned());
        self.compute(permit, move |hasher| hasher.verify(&password, stored.as_ref())).await
    }

    /// Number of computed hashes. Tests compare it to show that a refusal does the same work as a success;
    /// timing would be unreliable.
    pub fn computed(&self) -> u64 {
        self.hasher.computed.load(Relaxed)
    }

    async fn compute<T: Send + 'static>(
        &self,
        permit: HashingPermit,
        work: impl FnOnce(&Hasher) -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let hasher = self.hasher.clone();
        let computing = tokio::task::spawn_blocking(move || {
            // Held until the memory is free again, even if the client has disconnected.
            let _held = permit;
            work(&hasher)
        });
        match computing.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_shutting_down) => Err(HashingError(ErrorType::Unavailable)),
        }
    }
}

impl Hasher {
    fn hash(&self, password: &Secret) -> Result<Secret, HashingError> {
        let salt = Salt::generate();
        let output = self.output(&self.argon2, password, &salt, Params::DEFAULT_OUTPUT_LEN)?;
        let hash = StoredHash { argon2: self.argon2.clone(), salt, output };
        hash.to_text().map(Secret::new).map_err(|_| HashingError(ErrorType::Internal))
    }

    fn verify(&self, password: &Secret, stored: Option<&Secret>) -> Result<Verification, HashingError> {
        // An unreadable stored hash matches no password; only a reset helps.
        let stored = stored.and_then(|stored| StoredHash::parse(stored.expose()));
        let compared = stored.as_ref().unwrap_or(&self.nobodys_hash);
        let output = self.output(&compared.argon2, password, &compared.salt, compared.output.len())?;
        // The comparison takes constant time.
        if stored.is_none() || output != compared.output {
            return Ok(Verification::Wrong);
        }
        let cost = |argon2: &Argon2<'_>| {
            let params = argon2.params();
            (params.m_cost(), params.t_cost(), params.p_cost())
        };
        Ok(Verification::Right { outdated: cost(&compared.argon2) != cost(&self.argon2) })
    }

    fn output(
        &self,
        argon2: &Argon2<'_>,
        password: &Secret,
        salt: &Salt,
        length: usize,
    ) -> Result<Output, HashingError> {
        self.computed.fetch_add(1, Relaxed);
        let idle = || self.idle_memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = idle().pop().unwrap_or_default();
        let blocks = argon2.params().block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::new());
        }
        let mut output = vec![0; length];
        let bytes = password.expose().as_bytes();
        let computed = argon2.hash_password_into_with_memory(bytes, salt, &mut output, &mut memory[..]);
        idle().push(memory);
        let output = computed.ok().and_then(|()| Output::new(&output).ok());
        output.ok_or(HashingError(ErrorType::Internal))
    }
}

impl StoredHash {
    fn parse(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = Version::try_from(hash.version?).ok()?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&hash).ok()?);
        Some(Self { argon2, salt: hash.salt?, output: hash.hash? })
    }

    fn to_text(&self) -> Result<String, argon2::password_hash::Error> {
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(self.argon2.params())?,
            salt: Some(self.salt),
            hash: Some(self.output),
        };
        Ok(hash.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::PasswordVerifier;

    fn passwords(settings: PasswordHashing) -> Passwords {
        Passwords::new(settings).expect("possible parameters")
    }

    /// Hashes on behalf of one client.
    async fn hashed(passwords: &Passwords, password: &Secret) -> Result<Secret, HashingError> {
        let client = ClientAddress::from(std::net::IpAddr::from([192, 0, 2, 1]));
        passwords.hash(passwords.permit(client).await?, password).await
    }

    async fn verified(passwords: &Passwords, password: &Secret, stored: Option<&Secret>) -> Verification {
        let client = ClientAddress::from(std::net::IpAddr::from([192, 0, 2, 1]));
        let permit = passwords.permit(client).await.expect("a permit");
        passwords.verify(permit, password, stored).await.expect("verified")
    }

    fn cheap() -> PasswordHashing {
        PasswordHashing { memory_kib: 8, iterations: 1, lanes: 1, at_once: 1, waiting: 1 }
    }

    #[tokio::test]
    async fn a_password_is_recognised_and_its_hash_is_argon2id() {
        let passwords = passwords(cheap());
        let (right, wrong) = (Secret::new("correct horse battery"), Secret::new("Correct horse battery"));
        let hash = hashed(&passwords, &right).await.expect("hashed");
        assert!(hash.expose().starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        let read = PasswordHash::new(hash.expose()).expect("a PHC string");
        let by_library = Argon2::default().verify_password(right.expose().as_bytes(), &read);
        assert_eq!(by_library, Ok(()), "the library reads it alike");
        let again = hashed(&passwords, &right).await.expect("hashed");
        assert!(hash != again, "every hash has a salt of its own");
        let verify = async |password, hash| verified(&passwords, password, hash).await;
        assert_eq!(verify(&right, Some(&hash)).await, Verification::Right { outdated: false });
        assert_eq!(verify(&wrong, Some(&hash)).await, Verification::Wrong);
        assert_eq!(verify(&right, None).await, Verification::Wrong);
        let unreadable = Secret::new("$argon2id$nonsense");
        assert_eq!(verify(&right, Some(&unreadable)).await, Verification::Wrong);
        assert_eq!(passwords.computed(), 6, "each of these computed one hash");
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_outdated() {
        let password = Secret::new("correct horse battery");
        let hash = hashed(&passwords(cheap()), &password).await.expect("hashed");
        let dearer = passwords(PasswordHashing { iterations: 2, ..cheap() });
        let verified = verified(&dearer, &password, Some(&hash)).await;
        assert_eq!(verified, Verification::Right { outdated: true });
    }

    #[tokio::test]
    async fn whoever_finds_the_queue_full_is_sent_away_and_nothing_is_computed() {
        let passwords = passwords(PasswordHashing { waiting: 0, ..cheap() });
        let client = ClientAddress::from(std::net::IpAddr::from([192, 0, 2, 1]));
        let taken = passwords.permit(client).await.expect("the only permit");
        let refused = hashed(&passwords, &Secret::new("correct horse battery")).await;
        assert!(matches!(refused, Err(HashingError(ErrorType::Unavailable))));
        assert_eq!(passwords.computed(), 0);
        drop(taken);
        hashed(&passwords, &Secret::new("correct horse battery")).await.expect("room again");
    }

    #[tokio::test]
    async fn memory_is_used_again_also_for_hashes_that_need_more_or_less_of_it() {
        let small = passwords(cheap());
        let large = passwords(PasswordHashing { memory_kib: 64, ..cheap() });
        let password = Secret::new("correct horse battery");
        let hashes = [
            hashed(&small, &password).await,
            hashed(&large, &password).await,
            hashed(&small, &password).await,
        ];
        for hash in hashes {
            let hash = hash.expect("hashed");
            for passwords in [&small, &large] {
                let verified = verified(passwords, &password, Some(&hash)).await;
                assert!(matches!(verified, Verification::Right { .. }));
                let blocks: Vec<usize> =
                    passwords.hasher.idle_memory.lock().expect("idle").iter().map(Vec::len).collect();
                assert!(matches!(blocks[..], [8 | 64]), "one piece: {blocks:?}");
            }
        }
    }

    #[test]
    fn impossible_parameters_are_refused_at_start() {
        assert!(Passwords::new(PasswordHashing { memory_kib: 1, ..cheap() }).is_err());
        assert!(Passwords::new(PasswordHashing { at_once: 0, ..cheap() }).is_err());
    }
}
