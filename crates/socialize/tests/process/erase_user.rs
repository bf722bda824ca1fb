//! `socialize erase-user`

use http::Method;
use serde_json::json;
use test_support::TestDatabase;
use test_support::process::{Launch, User, eventually, program};

#[tokio::test]
async fn an_operator_erases_a_person_once_and_again() {
    let database = TestDatabase::create().await;
    let emails = tempfile::tempdir().expect("a directory");
    let process =
        Launch::serve(database.url()).variable("SOCIALIZE_MAIL_DIRECTORY", emails.path()).start_ready().await;
    let user = User::insert(database.pool()).await;
    let email: String =
        sqlx::query_scalar("select email from users").fetch_one(database.pool()).await.expect("a user");
    process
        .call(Method::POST, "/v1/auth/request-password-reset", &[], &json!({"email": email}))
        .await
        .expect(202);
    let written = || {
        std::fs::read_dir(emails.path())
            .expect("a directory")
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "eml"))
            .count()
    };
    eventually("an e-mail", async || (written() == 1).then_some(())).await;

    let erase = async |who: &str| {
        let launch =
            Launch::of(program(&["erase-user", who])).variable("SOCIALIZE_DATABASE_URL", database.url());
        launch.variable("SOCIALIZE_MAIL_DIRECTORY", emails.path()).run().await
    };
    let ended = erase(&email.to_uppercase()).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("The account is erased") && ended.stdout.contains("1 e-mails"),
        "{}",
        ended.stdout
    );
    assert_eq!(written(), 0);
    let (id, address, name): (uuid::Uuid, String, String) =
        sqlx::query_as("select id, email, display_name from users")
            .fetch_one(database.pool())
            .await
            .expect("a user");
    assert_eq!((address, name.as_str()), (format!("erased-{id}@erased.invalid"), "Erased"));
    process.call(Method::GET, "/v1/me", &[user.header()], &serde_json::Value::Null).await.expect(401);

    let again = erase(&id.to_string()).await;
    assert!(
        again.status.success() && again.stdout.contains("was erased before"),
        "{}{}",
        again.stdout,
        again.stderr
    );
    let nobody = erase(&email).await;
    assert!(
        nobody.status.success() && nobody.stdout.contains("No account has this address"),
        "{}",
        nobody.stdout
    );
    for (wrong, problem) in
        [("ada", "the person's address"), ("0197c2a0-0000-7000-8000-000000000000", "no such account")]
    {
        let ended = erase(wrong).await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
        assert!(ended.stderr.contains(problem), "{}", ended.stderr);
    }
}
