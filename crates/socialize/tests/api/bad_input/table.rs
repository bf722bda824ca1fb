//! The table. Every text contains "canary".
//!
//! Long because it is a table.

use http::Method;
use serde_json::json;

use super::case::{Case, get, patch, post, request};
use crate::world::{PNG, Role, World};

const ORGANIZATIONS: &str = "/v1/organizations";
const ORGANIZATION: &str = "/v1/organizations/{organization_id}";
const MEMBER: &str = "/v1/organizations/{organization_id}/members/{user_id}";
const WORKSPACES: &str = "/v1/organizations/{organization_id}/workspaces";
const WORKSPACE: &str = "/v1/workspaces/{workspace_id}";
const INVITES: &str = "/v1/workspaces/{workspace_id}/invites";
const ITEMS: &str = "/v1/workspaces/{workspace_id}/content-items";
const ITEM: &str = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}";
const SCHEDULE: &str = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/schedule";
const DECISIONS: &str = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/decisions";
const PUBLISHING_ENDPOINT: &str = "/v1/workspaces/{workspace_id}/publishing-endpoint";
const COMMENTS: &str = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/comments";
const ATTACHMENTS: &str = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments";
const ATTACHMENT: &str = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments/{attachment_id}";
const SCREENSHOT: &str = "/v1/feedback-reports/{feedback_report_id}/screenshot";
const FEEDBACK: &str = "/v1/feedback-reports";
const REGISTER: &str = "/v1/auth/register";
const LOGIN: &str = "/v1/auth/login";

/// Sends a request with an idempotency key, which some cases repeat.
pub(super) async fn prepare(world: &World<'_>) {
    let owner = world.caller(Role::Owner);
    let headers = [("idempotency-key", "canary-used-before")];
    let request = world.test.request(owner, Method::POST, ORGANIZATIONS, &json!({"name": "First"}), &headers);
    world.test.send(request).await.expect(201);
}

pub(super) fn refused() -> Vec<Case> {
    [
        json_syntax(),
        shapes(),
        texts(),
        addresses_and_passwords(),
        urls(),
        numbers_and_times(),
        sizes_and_media_types(),
        queries(),
        paths_and_methods(),
        authorization(),
        conditions(),
        files(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn files() -> Vec<Case> {
    let attach = |body: &[u8]| post(ATTACHMENTS).header("if-match", "*").body(body);
    let named = |path| post(path).header("if-match", "*").body(PNG);
    let screenshot = |body: &[u8]| request("PUT", SCREENSHOT).by(Role::Author).body(body);
    vec![
        attach(b"").is(415, "unsupported_media_type", "image/png"),
        attach(b"canary").is(415, "unsupported_media_type", "image/png"),
        attach(br#"{"canary": 1}"#).is(415, "unsupported_media_type", "application/pdf"),
        attach(b"<svg xmlns=\"http://www.w3.org/2000/svg\"><text>canary</text></svg>").is(415, "unsupported_media_type", "image/gif"),
        attach(b"<!doctype html><script>canary()</script>").is(415, "unsupported_media_type", "video/mp4"),
        // The declared type is ignored.
        attach(b"canary").header("content-type", "image/png").is(415, "unsupported_media_type", "content"),
        attach(PNG).header("content-encoding", "gzip").is(415, "unsupported_media_type", "Content-Encoding"),
        attach(PNG).header("idempotency-key", "canary with a space").is(400, "malformed_request", "Idempotency-Key"),
        attach(PNG).header("idempotency-key", "canary-used-before").is(422, "idempotency_key_reused", "new key"),
        post(ATTACHMENTS).body(PNG).is(428, "precondition_required", "If-Match"),
        post(ATTACHMENTS).header("if-match", "canary").body(PNG).is(400, "malformed_request", "If-Match"),
        post(ATTACHMENTS).header("if-match", "\"canary\"").body(PNG).is(412, "version_mismatch", "read it again"),
        named("/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments?canary=1").is(400, "malformed_request", "file_name"),
        named("/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments?file_name=").is(400, "malformed_request", "at least 1"),
        named("/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments?file_name=canary%00").is(400, "malformed_request", "control characters"),
        named("/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments?file_name=canary%ff").is(400, "malformed_request", "UTF-8"),
        get(ATTACHMENT).header("range", "bytes=1000-").is(416, "range_not_satisfiable", "bytes"),
        request("DELETE", ATTACHMENT).is(428, "precondition_required", "If-Match"),
        request("DELETE", ATTACHMENT).header("if-match", "\"canary\"").is(412, "version_mismatch", "read it again"),
        screenshot(b"canary").is(415, "unsupported_media_type", "image/webp"),
        screenshot(b"GIF89a canary").is(415, "unsupported_media_type", "image/webp"),
        screenshot(b"%PDF-1.7 canary").is(415, "unsupported_media_type", "image/webp"),
        screenshot(PNG).header("content-encoding", "canary").is(415, "unsupported_media_type", "Content-Encoding"),
    ]
}

fn json_syntax() -> Vec<Case> {
    vec![
        post(ORGANIZATIONS).json("").is(400, "malformed_request", "not valid JSON"),
        post(ORGANIZATIONS).json("canary").is(400, "malformed_request", "not valid JSON"),
        post(ORGANIZATIONS).json("{'name': 'canary'}").is(400, "malformed_request", "key must be a string"),
        post(ORGANIZATIONS).json(r#"{"name": "canary""#).is(400, "malformed_request", "EOF"),
        post(ORGANIZATIONS).json(r#"{"name": "canary"}}"#).is(400, "malformed_request", "trailing"),
        post(ORGANIZATIONS).json(r#"{"name": "canary",}"#).is(400, "malformed_request", "key must be a string"),
        post(ORGANIZATIONS).json("{\"name\": \"canary\"} // why not").is(400, "malformed_request", "trailing"),
        post(ORGANIZATIONS).json(b"{\"name\": \"canary\xff\"}").is(400, "malformed_request", "not valid JSON"),
        post(ORGANIZATIONS).json(b"{\"name\": \"canary\xed\xa0\x80\"}").is(400, "malformed_request", "not valid JSON"),
        post(ORGANIZATIONS).json(r#"{"name": "canary\ud800"}"#).is(400, "malformed_request", "hex escape"),
        post(ORGANIZATIONS).json(r#"{"name": "canary\udc00\ud800"}"#).is(400, "malformed_request", "surrogate"),
        post(ORGANIZATIONS).json(r#"{"name": "canary\x41"}"#).is(400, "malformed_request", "escape"),
        post(ORGANIZATIONS).json("{\"name\": \"canary\0\"}").is(400, "malformed_request", "control character"),
        post(ORGANIZATIONS).json("{\"name\": \"canary\nline\"}").is(400, "malformed_request", "control character"),
        post(ORGANIZATIONS).json(utf_16("{\"name\": \"canary\"}")).is(400, "malformed_request", "not valid JSON"),
        post(LOGIN).by(Role::Anonymous).json(r#"{"email": NaN}"#).is(400, "malformed_request", "not valid JSON"),
        patch(WORKSPACE).json(r#"{"required_approvals": 01}"#).is(400, "malformed_request", "number"),
        patch(WORKSPACE).json(r#"{"required_approvals": 1e999}"#).is(400, "malformed_request", "out of range"),
    ]
}

fn shapes() -> Vec<Case> {
    let nested = format!(r#"{{"name": {}"canary"{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let unknown_and_nested = format!(r#"{{"canary": {}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let long_name = format!(r#"{{"{}": 1}}"#, "canary".repeat(5_000));
    vec![
        post(ORGANIZATIONS).json("null").is(422, "invalid_field", "object"),
        post(ORGANIZATIONS).json("\"canary\"").is(422, "invalid_field", "object"),
        post(ORGANIZATIONS).json("[]").is(422, "invalid_field", "object"),
        post(ORGANIZATIONS).json(r#"["canary"]"#).is(422, "invalid_field", "object"),
        post(ORGANIZATIONS).json("{}").is(422, "invalid_field", "name"),
        post(ORGANIZATIONS).json(r#"{"name": null}"#).is(422, "invalid_field", "name: "),
        post(ORGANIZATIONS).json(r#"{"name": 7}"#).is(422, "invalid_field", "name: "),
        post(ORGANIZATIONS).json(r#"{"name": {"canary": "A"}}"#).is(422, "invalid_field", "name: "),
        post(ORGANIZATIONS).json(r#"{"name": ["canary"]}"#).is(422, "invalid_field", "name: "),
        post(ORGANIZATIONS).json(r#"{"name": "A", "name": "canary"}"#).is(422, "invalid_field", "duplicate field `name`"),
        post(ORGANIZATIONS).json(r#"{"name": "A", "canary": 1}"#).is(422, "invalid_field", "expected `name`"),
        post(ORGANIZATIONS).json(r#"{"Name": "canary"}"#).is(422, "invalid_field", "expected `name`"),
        post(ORGANIZATIONS).json(nested).is(422, "invalid_field", "name: "),
        post(ORGANIZATIONS).json(unknown_and_nested).is(422, "invalid_field", "expected `name`"),
        post(ORGANIZATIONS).json(long_name).is(422, "invalid_field", "expected `name`"),
        patch(ORGANIZATION).json(r#"{"id": "canary"}"#).is(422, "invalid_field", "expected `name`"),
        patch(MEMBER).json(r#"{"role": "canary"}"#).is(422, "invalid_field", "owner, admin, member"),
        patch(MEMBER).json(r#"{"role": "OWNER"}"#).is(422, "invalid_field", "role: "),
        patch(MEMBER).json(r#"{"role": {"owner": null}}"#).is(422, "invalid_field", "role: "),
        post(INVITES).json(r#"{"email": "canary@example.com", "role": "owner"}"#).is(422, "invalid_field", "role: "),
        post(ITEMS).json(r#"{"channel": "canary", "title": "A", "body": ""}"#).is(422, "invalid_field", "channel: "),
        post(ITEMS).json(r#"{"channel": "x", "title": "canary"}"#).is(422, "invalid_field", "`body`"),
        post(FEEDBACK).json(r#"{"kind": "complaint", "body": "canary"}"#).is(422, "invalid_field", "kind: "),
        post(FEEDBACK).json(r#"{"kind": "bug", "body": "A", "organization_id": "canary"}"#).is(422, "invalid_field", "organization_id: "),
        patch("/v1/feedback-reports/{feedback_report_id}").by(Role::Operator).json(r#"{"status": "canary"}"#).is(422, "invalid_field", "status: "),
        post("/v1/workspaces/{workspace_id}/members").json(r#"{"user_id": "canary", "role": "author"}"#).is(422, "invalid_field", "user_id: "),
        // An id has only one notation.
        post("/v1/workspaces/{workspace_id}/members").json(r#"{"user_id": "018f3f5e7c1a7b3a9d2e0123456789ab", "role": "author"}"#).is(422, "invalid_field", "user_id: "),
    ]
}

fn texts() -> Vec<Case> {
    let name = |name: &str| post(ORGANIZATIONS).json(json!({"name": name}).to_string());
    vec![
        name("").is(422, "invalid_field", "name: must have at least 1"),
        name(" \t\n").is(422, "invalid_field", "name: must have at least 1"),
        name("\u{3000}\u{2003}").is(422, "invalid_field", "name: must have at least 1"),
        name(&"ß".repeat(101)).is(422, "invalid_field", "name: must have at most 100 characters, not 101"),
        name(&"canary".repeat(1_000)).is(422, "invalid_field", "name: must have at most 100 characters"),
        name("canary\0").is(422, "invalid_field", "name: must not contain control characters"),
        name("canary\u{1b}[31m").is(422, "invalid_field", "name: must not contain control characters"),
        name("canary\u{7f}").is(422, "invalid_field", "name: must not contain control characters"),
        name("canary\u{85}").is(422, "invalid_field", "name: must not contain control characters"),
        name("canary\nline").is(422, "invalid_field", "name: must not contain control characters or line breaks"),
        name("\u{202e}canary").is(422, "invalid_field", "name: must not contain invisible characters"),
        name("canary\u{200b}").is(422, "invalid_field", "name: must not contain invisible characters"),
        name("canary\u{feff}").is(422, "invalid_field", "name: must not contain invisible characters"),
        name("canary.example").is(422, "invalid_field", "name: must not contain anything that programs turn into a link"),
        name("${jndi:ldap://canary}").is(422, "invalid_field", "name: must not contain anything that programs turn into a link"),
        name("canary@example").is(422, "invalid_field", "name: must not contain anything that programs turn into a link"),
        patch(ORGANIZATION).json(r#"{"name": "www.canary"}"#).is(422, "invalid_field", "name: must not contain anything that"),
        post(WORKSPACES).json(r#"{"name": "https://canary", "required_approvals": 1}"#).is(422, "invalid_field", "name: must not contain anything"),
        patch(WORKSPACE).json(r#"{"name": "canary.example"}"#).is(422, "invalid_field", "name: must not contain anything that"),
        patch("/v1/me").json(r#"{"display_name": "canary.example"}"#).is(422, "invalid_field", "display_name: must not contain anything that"),
        post(REGISTER).by(Role::Anonymous).json(r#"{"email": "canary@example.com", "display_name": "canary.example", "password": "canary canary"}"#).is(422, "invalid_field", "display_name: must not contain anything that"),
        post(ITEMS).json(json!({"channel": "x", "title": "canary".repeat(40), "body": ""}).to_string()).is(422, "invalid_field", "title: must have at most 200"),
        post(ITEMS).json(json!({"channel": "x", "title": "A", "body": "canary".repeat(2_000)}).to_string()).is(422, "invalid_field", "body: must have at most 10000"),
        post(ITEMS).json(json!({"channel": "x", "title": "A", "body": "canary\u{0}"}).to_string()).is(422, "invalid_field", "body: must not contain control characters"),
        patch(ITEM).header("if-match", "*").json(r#"{"title": ""}"#).is(422, "invalid_field", "title: must have at least 1"),
        post(COMMENTS).json(json!({"body": "canary".repeat(1_000)}).to_string()).is(422, "invalid_field", "body: must have at most 5000"),
        post(COMMENTS).json(r#"{"body": " "}"#).is(422, "invalid_field", "body: must have at least 1"),
        post(DECISIONS).json(json!({"decision": "reject", "revision": 1, "note": "canary".repeat(400)}).to_string()).is(422, "invalid_field", "note: must have at most 2000"),
        post(DECISIONS).json(r#"{"decision": "canary", "revision": 1}"#).is(422, "invalid_field", "approve, request_changes, reject"),
        patch("/v1/me").json(r#"{"display_name": "canary\u0000"}"#).is(422, "invalid_field", "display_name: "),
    ]
}

fn addresses_and_passwords() -> Vec<Case> {
    let invite = |email: &str| post(INVITES).json(json!({"email": email, "role": "author"}).to_string());
    let register = |email: &str, password: &str| {
        let user = json!({"email": email, "display_name": "canary", "password": password});
        post(REGISTER).by(Role::Anonymous).json(user.to_string())
    };
    let public = |path| post(path).by(Role::Anonymous);
    let long = format!("canary@{}.example.com", "a".repeat(254));
    let long_label = format!("canary@{}.com", "a".repeat(64));
    let long_name = format!("{}@example.com", "canary".repeat(11));
    vec![
        invite("").is(422, "invalid_field", "it is empty"),
        invite("canary").is(422, "invalid_field", "it has no @"),
        invite("canary@").is(422, "invalid_field", "nothing behind the @"),
        invite("@example.com").is(422, "invalid_field", "nothing before the @"),
        invite("canary@@example.com").is(422, "invalid_field", "more than one @"),
        invite("canary bird@example.com").is(422, "invalid_field", "it contains white space"),
        invite("canary@exa mple.com").is(422, "invalid_field", "it contains white space"),
        invite("canary..bird@example.com").is(422, "invalid_field", "dot"),
        invite(".canary@example.com").is(422, "invalid_field", "dot"),
        invite("canary.@example.com").is(422, "invalid_field", "dot"),
        invite("canary@example..com").is(422, "invalid_field", "two dots"),
        invite("canary@.example.com").is(422, "invalid_field", "dot"),
        invite("canary@example.com.").is(422, "invalid_field", "dot at its end"),
        invite("canary@-example.com").is(422, "invalid_field", "hyphen"),
        invite("canary@example-.com").is(422, "invalid_field", "hyphen"),
        invite("canary@exam_ple.com").is(422, "invalid_field", "letters, digits, hyphens and dots"),
        invite("canary@example.com:25").is(422, "invalid_field", "letters, digits, hyphens and dots"),
        invite("\"canary bird\"@example.com").is(422, "invalid_field", "quotation marks"),
        invite("canary(comment)@example.com").is(422, "invalid_field", "before the @"),
        invite("canary,bird@example.com").is(422, "invalid_field", "one address"),
        invite("canary@example.com,bird@example.com").is(422, "invalid_field", "one address"),
        invite("canary@example.com;bird@example.com").is(422, "invalid_field", "one address"),
        invite("canary@[127.0.0.1]").is(422, "invalid_field", "IP address"),
        invite("cänary@example.com").is(422, "invalid_field", "before the @ outside ASCII"),
        invite("canary@exämple.com").is(422, "invalid_field", "xn--"),
        invite("canary@例え.jp").is(422, "invalid_field", "xn--"),
        invite("canary@example\u{3002}com").is(422, "invalid_field", "xn--"),
        invite("canary@example.com\r\nBcc: all@example.com").is(422, "invalid_field", "white space"),
        invite("Canary <canary@example.com>").is(422, "invalid_field", "angle brackets"),
        invite("<canary@example.com>").is(422, "invalid_field", "angle brackets"),
        invite("mailto:canary@example.com").is(422, "invalid_field", "mailto:"),
        invite("canary\u{200b}@example.com").is(422, "invalid_field", "before the @ outside ASCII"),
        invite(&long).is(422, "invalid_field", "at most 254 characters"),
        invite(&long_label).is(422, "invalid_field", "63 characters"),
        invite(&long_name).is(422, "invalid_field", "64 characters"),
        register("canary@example.com", "canary").is(422, "invalid_field", "password: must have 10 to 128"),
        register("canary@example.com", &"canary".repeat(30)).is(422, "invalid_field", "password: must have 10 to"),
        register("canary@example.com", "canary@example.com").is(422, "invalid_field", "password: must not be"),
        register("canary@example.com", "cccccccccccc").is(422, "invalid_field", "password: must not be one"),
        register("canary", "canary canary canary").is(422, "invalid_field", "email: "),
        public(LOGIN).json(r#"{"email": "canary@example.com"}"#).is(422, "invalid_field", "`password`"),
        public(LOGIN).json(r#"{"email": "canary@example.com", "password": 1234567890}"#).is(422, "invalid_field", "password: "),
        public(LOGIN).json(r#"{"email": "canary@example.com", "password": "canary canary"}"#).is(401, "invalid_credentials", "password"),
        public("/v1/auth/refresh").json(r#"{"refresh_token": "canary"}"#).is(401, "unauthenticated", "log in"),
        public("/v1/auth/refresh").json(r#"{"refresh_token": ""}"#).is(401, "unauthenticated", "log in"),
        public("/v1/auth/verify-email").json(r#"{"token": "canary"}"#).is(410, "link_expired", "link"),
        public("/v1/auth/verify-email").json(r#"{"token": "\u0000canary"}"#).is(410, "link_expired", "link"),
        public("/v1/auth/reset-password").json(r#"{"token": "canary", "password": "canary canary"}"#).is(410, "link_expired", "link"),
        // A token is valid for one purpose only.
        public("/v1/auth/reset-password").json(r#"{"token": "{verification_token}", "password": "canary canary"}"#).is(410, "link_expired", "link"),
        post("/v1/invites/accept").json(r#"{"token": "canary"}"#).is(404, "not_found", "invite"),
        post("/v1/invites/accept").json(r#"{"token": "{verification_token}"}"#).is(404, "not_found", "invite"),
    ]
}

fn urls() -> Vec<Case> {
    let url = |url: &str| request("PUT", PUBLISHING_ENDPOINT).json(json!({"url": url}).to_string());
    vec![
        url("").is(422, "invalid_field", "url: must have at least 10"),
        url("canary.example.com").is(422, "invalid_field", "url: must be an HTTPS URL"),
        url("http://canary.example.com").is(422, "invalid_field", "url: must be an HTTPS URL"),
        url("javascript:alert('canary')").is(422, "invalid_field", "url: must be an HTTPS URL"),
        url("https://canary@example.com").is(422, "invalid_field", "url: must not contain a user name"),
        url("https://canary example.com/").is(422, "invalid_field", "url: must be an HTTPS URL"),
        url("https://127.0.0.1/canary").is(422, "invalid_field", "url: must not name a private"),
        url("https://[::1]:443/canary").is(422, "invalid_field", "url: must not name a private"),
        url("https://example.com/canary\u{0}").is(422, "invalid_field", "url: must not contain control characters"),
        url(&format!("https://example.com/{}", "canary".repeat(400))).is(422, "invalid_field", "url: must have at most 2000"),
        url(&format!("https://example.com/{}canary", "ä".repeat(1_000))).is(422, "invalid_field", "url: is too long"),
    ]
}

fn numbers_and_times() -> Vec<Case> {
    let approvals = |number: &str| {
        post(WORKSPACES).json(format!(r#"{{"name": "canary", "required_approvals": {number}}}"#))
    };
    let at = |time: &str| post(SCHEDULE).json(json!({"scheduled_at": time}).to_string());
    vec![
        approvals("0").is(422, "invalid_field", "required_approvals: "),
        approvals("6").is(422, "invalid_field", "required_approvals: "),
        approvals("-1").is(422, "invalid_field", "required_approvals: "),
        approvals("1.5").is(422, "invalid_field", "required_approvals: "),
        approvals("4294967297").is(422, "invalid_field", "required_approvals: "),
        approvals("99999999999999999999999999").is(422, "invalid_field", "required_approvals: "),
        approvals("\"1\"").is(422, "invalid_field", "required_approvals: "),
        approvals("true").is(422, "invalid_field", "required_approvals: "),
        post(WORKSPACES).json(r#"{"name": "canary", "required_approvals": 1, "allow_self_approval": "yes"}"#).is(422, "invalid_field", "allow_self_approval: "),
        post(DECISIONS).json(r#"{"decision": "approve", "revision": 0}"#).is(422, "invalid_field", "revision"),
        post(DECISIONS).json(r#"{"decision": "approve", "revision": -1}"#).is(422, "invalid_field", "revision"),
        post(DECISIONS).json(r#"{"decision": "approve", "revision": 99999999999}"#).is(422, "invalid_field", "revision: "),
        at("canary").is(422, "invalid_field", "scheduled_at: "),
        at("").is(422, "invalid_field", "scheduled_at: "),
        at("2026-11-24T09:00:00").is(422, "invalid_field", "scheduled_at: "),
        at("2026-11-24").is(422, "invalid_field", "scheduled_at: "),
        at("2026-13-24T09:00:00Z").is(422, "invalid_field", "scheduled_at: "),
        at("2026-02-30T09:00:00Z").is(422, "invalid_field", "scheduled_at: "),
        at("2026-11-23T08:59:59Z").is(422, "invalid_field", "scheduled_at: must be in the future"),
        at("2028-01-01T00:00:00Z").is(422, "invalid_field", "scheduled_at: must be at most a year ahead"),
        at("+262142-01-01T00:00:00Z").is(422, "invalid_field", "scheduled_at: "),
        at("-262143-01-01T00:00:00Z").is(422, "invalid_field", "scheduled_at: "),
        at("+999999-01-01T00:00:00Z").is(422, "invalid_field", "scheduled_at: "),
        post(SCHEDULE).json(r#"{"scheduled_at": 1795510800}"#).is(422, "invalid_field", "scheduled_at: "),
    ]
}

fn sizes_and_media_types() -> Vec<Case> {
    let valid = r#"{"name": "canary"}"#;
    let too_large = format!(r#"{{"name": "canary"{}}}"#, " ".repeat(64 << 10));
    let media_type = |value: &'static str| post(ORGANIZATIONS).body(valid).header("content-type", value);
    vec![
        post(ORGANIZATIONS).json(too_large).is(413, "body_too_large", "at most 65536 bytes"),
        post(REGISTER).by(Role::Anonymous).json("canary".repeat(50_000)).is(413, "body_too_large", "65536"),
        post(ORGANIZATIONS).body(valid).is(415, "unsupported_media_type", "application/json"),
        media_type("").is(415, "unsupported_media_type", "application/json"),
        media_type("text/plain").is(415, "unsupported_media_type", "not text/plain"),
        media_type("text/canary").is(415, "unsupported_media_type", "application/json"),
        media_type("application/jsoncanary").is(415, "unsupported_media_type", "application/json"),
        media_type("application/merge-patch+json").is(415, "unsupported_media_type", "application/json"),
        media_type("application/x-www-form-urlencoded").is(415, "unsupported_media_type", "application/json"),
        media_type("multipart/form-data; boundary=canary").is(415, "unsupported_media_type", "application/json"),
        media_type("text/plain; charset=application/json").is(415, "unsupported_media_type", "application/json"),
        media_type("application/json, text/plain").is(415, "unsupported_media_type", "application/json"),
        media_type("application/json; charset=utf-16").is(415, "unsupported_media_type", "not utf-16"),
        media_type("application/json; charset=\"iso-8859-1\"").is(415, "unsupported_media_type", "not iso-8859-1"),
        media_type("application/json; charset=utf-8; charset=utf-16").is(415, "unsupported_media_type", "not utf-16"),
        media_type("application/json; charset=utf-32le").is(415, "unsupported_media_type", "UTF-8"),
        media_type("application/json; charset=utf").is(415, "unsupported_media_type", "UTF-8"),
        media_type("text/json").is(415, "unsupported_media_type", "not text/json"),
        post(ORGANIZATIONS).json([b"\xff\xfe".as_slice(), &utf_16(valid)].concat()).is(400, "malformed_request", "UTF-16"),
        post(ORGANIZATIONS).json(utf_16(valid)).is(400, "malformed_request", "UTF-16"),
        post(ORGANIZATIONS).json("\u{feff}\u{feff}{\"name\": \"canary\"}").is(400, "malformed_request", "not valid JSON"),
        post(ORGANIZATIONS).json(valid).header("content-type", "text/plain").is(415, "unsupported_media_type", "application/json"),
        post(ORGANIZATIONS).body(valid).header("content-type", b"application/json\xff".as_slice()).is(415, "unsupported_media_type", "application/json"),
        post(ORGANIZATIONS).json(valid).header("content-encoding", "gzip").is(415, "unsupported_media_type", "Content-Encoding"),
    ]
}

fn queries() -> Vec<Case> {
    vec![
        get("/v1/organizations?limit=0").is(400, "malformed_request", "limit must be between 1 and 100"),
        get("/v1/organizations?limit=101").is(400, "malformed_request", "limit must be between 1 and 100"),
        get("/v1/organizations?limit=-1").is(400, "malformed_request", "limit"),
        get("/v1/organizations?limit=canary").is(400, "malformed_request", "limit"),
        get("/v1/organizations?limit=1.5").is(400, "malformed_request", "limit"),
        get("/v1/organizations?limit=").is(400, "malformed_request", "limit"),
        get("/v1/organizations?limit=99999999999999999999").is(400, "malformed_request", "limit"),
        get("/v1/organizations?limit=1&limit=2").is(400, "malformed_request", "limit"),
        get("/v1/organizations?cursor=").is(400, "malformed_request", "cursor"),
        get("/v1/organizations?cursor=canary").is(400, "malformed_request", "cursor"),
        get("/v1/organizations?cursor=%00").is(400, "malformed_request", "cursor"),
        get("/v1/organizations?cursor=%ff").is(400, "malformed_request", "UTF-8"),
        get("/v1/organizations?cursor=AAAA&cursor=canary").is(400, "malformed_request", "cursor"),
        // The right length, with times outside the range of Postgres or the calendar.
        get("/v1/organizations?cursor=f_________8AAAAAAAAAAAAAAAAAAAAA").is(400, "malformed_request", "cursor"),
        get("/v1/organizations?cursor=gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").is(400, "malformed_request", "cursor"),
        get("/v1/organizations?cursor={ancient_cursor}").is(400, "malformed_request", "cursor"),
        get("/v1/organizations?cursor={distant_cursor}").is(400, "malformed_request", "cursor"),
        get("/v1/organizations?canary=1").is(400, "malformed_request", "expected `limit` or `cursor`"),
        get("/v1/organizations?limit[]=1").is(400, "malformed_request", "expected `limit` or `cursor`"),
        get("/v1/workspaces/{workspace_id}/invites?status=canary").is(400, "malformed_request", "pending"),
        get("/v1/workspaces/{workspace_id}/content-items?status=canary").is(400, "malformed_request", "draft"),
        get("/v1/workspaces/{workspace_id}/content-items?channel=myspace").is(400, "malformed_request", "channel"),
        get("/v1/workspaces/{workspace_id}/content-items?author_id=canary").is(400, "malformed_request", "author_id"),
        get("/v1/feedback-reports?kind=canary").by(Role::Operator).is(400, "malformed_request", "bug, idea"),
        get("/v1/feedback-reports?status=New").by(Role::Operator).is(400, "malformed_request", "status"),
    ]
}

fn paths_and_methods() -> Vec<Case> {
    vec![
        get("/v1/canary").is(404, "not_found", "/docs"),
        get("/v1/").is(404, "not_found", "/docs"),
        get("/v1/organizations/").is(404, "not_found", "/docs"),
        get("/v1//organizations").is(404, "not_found", "/docs"),
        get("/V1/organizations").is(404, "not_found", "/docs"),
        get("/v1/organizations/canary").is(404, "not_found", "UUID"),
        get("/v1/organizations/0").is(404, "not_found", "UUID"),
        get("/v1/organizations/%00").is(404, "not_found", "UUID"),
        get("/v1/organizations/%ff").is(404, "not_found", "UUID"),
        get("/v1/organizations/%zz").is(404, "not_found", "UUID"),
        get("/v1/organizations/..%2f..%2fcanary").is(404, "not_found", "UUID"),
        get("/v1/organizations/../../etc/canary").is(404, "not_found", "/docs"),
        get("/v1/organizations/%2e%2e/me").is(404, "not_found", "/docs"),
        get("/v1/organizations/1%27%20or%20canary").is(404, "not_found", "UUID"),
        get("/v1/organizations/018f3f5e7c1a7b3a9d2e0123456789ab").is(404, "not_found", "UUID"),
        get("/v1/organizations/00000000-0000-0000-0000-000000000000").is(404, "not_found", "organization"),
        get("/v1/workspaces/{organization_id}").is(404, "not_found", "workspace"),
        get("/v1/workspaces/{workspace_id}/content-items/canary").is(404, "not_found", "UUID"),
        get("/v1/workspaces/{workspace_id}/content-items/{workspace_id}").is(404, "not_found", "content item"),
        request("PUT", ORGANIZATIONS).json("\"canary\"").is(405, "method_not_allowed", "Allow"),
        request("PUT", "/v1/me").is(405, "method_not_allowed", "Allow"),
        request("OPTIONS", "/v1/me").is(405, "method_not_allowed", "Allow"),
        request("TRACE", "/v1/me").is(405, "method_not_allowed", "Allow"),
        request("CANARY", "/v1/me").is(405, "method_not_allowed", "Allow"),
        get(LOGIN).is(405, "method_not_allowed", "Allow"),
    ]
}

fn authorization() -> Vec<Case> {
    let me = |value: &'static str| get("/v1/me").authorization(value);
    vec![
        get("/v1/me").by(Role::Anonymous).is(401, "unauthenticated", "Authorization: Bearer <token>"),
        me("").is(401, "unauthenticated", "Bearer <token>"),
        me("Bearer").is(401, "unauthenticated", "Bearer <token>"),
        me("Bearer ").is(401, "unauthenticated", "log in again"),
        me("Bearer canary").is(401, "unauthenticated", "log in again"),
        me("Bearer canary.canary.canary").is(401, "unauthenticated", "log in again"),
        me("Basic Y2FuYXJ5OmNhbmFyeQ==").is(401, "unauthenticated", "Bearer <token>"),
        me("{access_token}").is(401, "unauthenticated", "Bearer <token>"),
        me("Token {access_token}").is(401, "unauthenticated", "Bearer <token>"),
        me("Bearer\t{access_token}").is(401, "unauthenticated", "Bearer <token>"),
        me("Bearer {access_token} canary").is(401, "unauthenticated", "log in again"),
        me("Bearer {access_token}, Bearer canary").is(401, "unauthenticated", "log in again"),
        me("Bearer {access_token}A").is(401, "unauthenticated", "log in again"),
        me("Bearer \"{access_token}\"").is(401, "unauthenticated", "log in again"),
        me("Bearer {expired_token}").is(401, "unauthenticated", "refresh it"),
        me("Bearer {foreign_token}").is(401, "unauthenticated", "log in again"),
        me("Bearer {unsigned_token}").is(401, "unauthenticated", "log in again"),
        me("Bearer {verification_token}").is(401, "unauthenticated", "log in again"),
        me("Bearer {token_of_nobody}").is(401, "unauthenticated", "session"),
        me("Bearer canary").header("authorization", "Bearer {access_token}").is(401, "unauthenticated", "one"),
        me("Bearer {access_token}").header("authorization", "Bearer canary").is(401, "unauthenticated", "one"),
        get("/v1/me").authorization(b"Bearer canary\xff".as_slice()).is(401, "unauthenticated", "Bearer <token>"),
        get("/v1/me?access_token={access_token}").by(Role::Anonymous).is(401, "unauthenticated", "Bearer <token>"),
        get(ORGANIZATION).authorization("Bearer {token_of_nobody}").is(401, "unauthenticated", "session"),
        post(ORGANIZATIONS).authorization("Bearer {token_of_nobody}").json(r#"{"name": "canary"}"#).is(401, "unauthenticated", "session"),
        // Authentication precedes validation.
        post(ORGANIZATIONS).by(Role::Anonymous).json("canary").is(401, "unauthenticated", "Bearer <token>"),
        get("/v1/organizations?canary=1").by(Role::Anonymous).is(401, "unauthenticated", "Bearer <token>"),
    ]
}

/// Cases of `Idempotency-Key` and `If-Match`.
fn conditions() -> Vec<Case> {
    let key =
        |value: &[u8]| post(ORGANIZATIONS).json(r#"{"name": "canary"}"#).header("idempotency-key", value);
    let edit = |tag: &'static str| patch(ITEM).json(r#"{"title": "canary"}"#).header("if-match", tag);
    vec![
        key(b"").is(400, "malformed_request", "Idempotency-Key"),
        key(b"canary bird").is(400, "malformed_request", "Idempotency-Key"),
        key(b"canary\tbird").is(400, "malformed_request", "Idempotency-Key"),
        key(b"canary\xff").is(400, "malformed_request", "Idempotency-Key"),
        key("canarü".as_bytes()).is(400, "malformed_request", "Idempotency-Key"),
        key("canary".repeat(43).as_bytes()).is(400, "malformed_request", "1 to 255"),
        key(b"canary").header("idempotency-key", "bird").is(400, "malformed_request", "Idempotency-Key"),
        key(b"canary-used-before").is(422, "idempotency_key_reused", "new key"),
        post(WORKSPACES).json(r#"{"name": "First", "required_approvals": 1}"#).header("idempotency-key", "canary-used-before").is(422, "idempotency_key_reused", "new key"),
        post(FEEDBACK).json(r#"{"kind": "bug", "body": "canary"}"#).header("idempotency-key", "canary-used-before").is(422, "idempotency_key_reused", "new key"),
        patch(ITEM).json(r#"{"title": "canary"}"#).is(428, "precondition_required", "If-Match"),
        edit("").is(400, "malformed_request", "If-Match"),
        edit("1").is(400, "malformed_request", "If-Match"),
        edit("\"canary").is(400, "malformed_request", "If-Match"),
        edit("*, \"1\"").is(400, "malformed_request", "If-Match"),
        edit("\"canary\"").is(412, "version_mismatch", "read it again"),
        edit("\"99\"").is(412, "version_mismatch", "read it again"),
        edit("W/\"2\"").is(412, "version_mismatch", "read it again"),
        edit("\"2-gzip\"").is(412, "version_mismatch", "read it again"),
        edit("\"01\"").is(412, "version_mismatch", "read it again"),
    ]
}

pub(super) fn accepted() -> Vec<Case> {
    let name = |name: &'static str| {
        let body = json!({"name": name}).to_string();
        post(ORGANIZATIONS).json(body).accepted(201, "name", name)
    };
    let invite = |email: &str| post(INVITES).json(json!({"email": email, "role": "author"}).to_string());
    let media_type = |value: &'static str| {
        post(ORGANIZATIONS).body(r#"{"name": "A"}"#).header("content-type", value).accepted(201, "name", "A")
    };
    vec![
        name("🦜🏳️‍🌈👩‍👩‍👧‍👦"),
        name("مرحبا بالعالم"),
        name("שלום, world"),
        name("日本語の組織"),
        name("e\u{301}"),
        name("  spaces around  "),
        name("Robert'); drop table organizations;--"),
        name("<script>alert(1)</script>"),
        name("{{7*7}} ${jndi:ldap} %s %n"),
        name("\\u0000"),
        name("\u{fffd}"),
        name("\u{10ffff}"),
        name(concat!("🦜", "0123456789012345678901234567890123456789012345678901234567890123456789", "12345678901234567890123456789")),
        post(ORGANIZATIONS).json(r#"{"name": "\ud83e\udd9c"}"#).accepted(201, "name", "🦜"),
        post(ORGANIZATIONS).json("\r\n\t {\"name\"\n:\t\"A\"}  \n").accepted(201, "name", "A"),
        post(ORGANIZATIONS).json(r#"{"\u006eame": "A"}"#).accepted(201, "name", "A"),
        media_type("application/json; charset=utf-8"),
        media_type("application/json;charset=\"UTF-8\""),
        media_type("application/json; charset=utf8"),
        media_type("application/json; charset=\"Utf8\""),
        media_type("application/json; charset='utf-8'"),
        media_type("application/json; charset = UTF-8 "),
        media_type("application/json; charset=unicode-1-1-utf-8"),
        media_type("application/json; charset=us-ascii"),
        media_type("application/json; charset="),
        media_type("application/json; charset=utf-8;"),
        media_type("application/json; CHARSET=utf-8; charset=utf8"),
        post(ORGANIZATIONS).json("\u{feff}{\"name\": \"A\"}").accepted(201, "name", "A"),
        invite("  CANARY+bird@Example.COM ").accepted(201, "email", "canary+bird@example.com"),
        invite("canary@xn--exmple-cua.com").accepted(201, "email", "canary@xn--exmple-cua.com"),
        media_type("Application/JSON"),
        media_type("application/json; profile=canary"),
        media_type("application/json").header("content-encoding", "identity"),
        media_type("application/json").header("idempotency-key", "!\"#~"),
        media_type("application/json").header("traceparent", "00-canary-canary-01"),
        media_type("application/json").header("x-request-id", "canary"),
        patch(ORGANIZATION).json(r#"{"name": null}"#).accepted(200, "name", "Organization"),
        patch(ORGANIZATION).json("{}").accepted(200, "name", "Organization"),
        get("/v1/me").authorization("bearer {access_token}").accepted(200, "display_name", "owner"),
        get("/v1/me").authorization("BEARER  {access_token} ").accepted(200, "display_name", "owner"),
        get("/v1/organizations?limit=1&").accepted(200, "", ""),
        get("/v1/organizations?li%6dit=1").accepted(200, "", ""),
        // A cursor of another list is a valid position in this one as well.
        get("/v1/organizations?cursor={foreign_cursor}").accepted(200, "", ""),
        get("/v1/workspaces/{workspace_id}/content-items/{content_item_id}/revisions?cursor={foreign_cursor}")
        .accepted(200, "", ""),
        patch(ITEM).json(r#"{"title": "B"}"#).header("if-match", "W/\"1-gzip\"").accepted(200, "title", "B"),
        request("HEAD", "/v1/me").accepted(200, "", ""),
    ]
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
