//! A user whose access tokens are valid for any server with the same secret.

use domain::ids::{SessionId, UserId};
use socialize::platform::clock::Clock;
use socialize::platform::secret::Secret;
use socialize::platform::token::Tokens;
use sqlx::PgPool;
use uuid::Uuid;

/// Signs the access tokens of every process in these tests.
pub const SERVER_SECRET: &str = "a-server-secret-of-tests-that-nobody-may-ever-see";

/// A user with an access token.
pub struct User {
    /// Value of the header `authorization`.
    pub authorization: String,
}

impl User {
    /// Inserts a verified user with a session, without the cost of hashing a password.
    pub async fn insert(pool: &PgPool) -> Self {
        Self::insert_with(pool, SERVER_SECRET).await
    }

    /// Like [`Self::insert`], for a server with another secret.
    pub async fn insert_with(pool: &PgPool, server_secret: &str) -> Self {
        let id = UserId::from(Uuid::now_v7());
        let now = Clock::default().now();
        sqlx::query(
            "with ada as (
                 insert into users (id, email, display_name, password_hash, email_verified_at, created_at)
                 values ($1, $2, 'Ada', '$argon2id$not-a-hash', $3, $3) returning id
             )
             insert into sessions (id, user_id, created_at, expires_at)
             select id, id, $3, $3 + interval '1 day' from ada",
        )
        .bind(id)
        .bind(format!("{}@example.com", id.uuid().simple()))
        .bind(now)
        .execute(pool)
        .await
        .expect("a user");
        let tokens = Tokens::new(&Secret::new(server_secret));
        let token = tokens.issue(id, SessionId::from(id.uuid()), now).expect("signed");
        Self { authorization: format!("Bearer {}", token.expose()) }
    }

    /// Returns the header that authenticates the user.
    pub fn header(&self) -> (&str, &str) {
        ("authorization", &self.authorization)
    }
}
