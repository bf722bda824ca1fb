//! Limits that protect accounts are shared by all processes, and work only if clients can be distinguished.

use http::Method;
use serde_json::json;
use sqlx::PgPool;
use test_support::TestDatabase;
use test_support::process::{Launch, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn failed_log_ins_are_counted_over_two_processes() {
    let database = TestDatabase::create().await;
    let launch = || Launch::serve(database.url()).without_worker();
    let processes = [launch().start_ready().await, launch().start_ready().await];
    let body = json!({"email": "ada@example.com", "password": "incorrect horse battery staple"});
    let mut statuses = Vec::new();
    for number in 0..14 {
        let answer = processes[number % 2].call(Method::POST, "/v1/auth/login", &[], &body).await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 4]].concat());
}

/// Three users seen in these networks, of which the odd ones are private.
async fn seen_in(pool: &PgPool, networks: [u8; 3]) {
    sqlx::query("delete from known_networks").execute(pool).await.expect("emptied");
    for network in networks {
        sqlx::query(
            "with somebody as (
                 insert into users (id, email, display_name, password_hash, email_verified_at, created_at)
                 select id, id || '@example.com', 'Ada', '$argon2id$not-a-hash', now(), now()
                 from (select gen_random_uuid() as id) made returning id
             )
             insert into known_networks (user_id, network, is_private, seen_at) select id, $1, $2, now() from somebody",
        )
        .bind(vec![network; 16])
        .bind(network % 2 == 1)
        .execute(pool)
        .await
        .expect("a user");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_trusted_is_noticed_at_start_and_by_the_doctor() {
    let database = TestDatabase::create().await;
    let doctor = async |launch: Launch| {
        let ended = launch.arguments(&["--json"]).run().await;
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("a report");
        let checks = report["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["check"] == "clients").expect("a finding")["verdict"].clone()
    };
    let plain = || Launch::role("doctor", database.url());
    assert_eq!(doctor(plain()).await, "ok", "nobody was seen");
    for (networks, verdict) in [([1, 1, 1], "warning"), ([2, 2, 2], "ok"), ([1, 1, 3], "ok")] {
        seen_in(database.pool(), networks).await;
        assert_eq!(doctor(plain()).await, verdict, "{networks:?}");
    }

    seen_in(database.pool(), [1, 1, 1]).await;
    let trusted = || ("SOCIALIZE_TRUSTED_PEERS", "10.0.0.1");
    assert_eq!(doctor(plain().variables(&[trusted()])).await, "ok");
    let process = Launch::serve(database.url()).without_worker().start_ready().await;
    eventually("the warning", async || process.events("clients.share_one_address").pop()).await;
    let quiet = Launch::serve(database.url()).without_worker().variables(&[trusted()]).start_ready().await;
    assert!(quiet.events("clients.share_one_address").is_empty());
}
