//! Bearer tokens: the routes that require one, and errors in the file of tokens.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use millrace_read_side::ReadConfig;
use millrace_read_side::access::ReadTokens;

use crate::seed::ReadSide;

const TOKEN: &str = "correct-horse-battery";

fn load(text: &str) -> Result<ReadTokens, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, text).unwrap();
    ReadTokens::load(file.to_str().unwrap()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn only_clients_with_a_token_may_read() {
    let tokens = load(&format!("# two of them\n{TOKEN}\n\nanother-valid-token\n")).unwrap();
    assert_eq!(format!("{tokens:?}"), "2 tokens");
    let read_side =
        ReadSide::with_config(&ReadConfig { read_tokens_file: Some(tokens), ..ReadConfig::default() });
    let get = async |path: &str, authorization: &str| {
        let request = Request::get(path).header(header::AUTHORIZATION, authorization);
        read_side.send(request.body(Body::empty()).unwrap()).await
    };
    for path in ["/users/customer-2", "/orders", "/graphql?query=%7B__typename%7D"] {
        let refused = read_side.get(path).await;
        refused.assert_problem(401, &["unauthorized"]);
        assert_eq!(refused.header(header::WWW_AUTHENTICATE), "Bearer");
        for wrong in ["Bearer correct-horse-batterz", "Basic correct-horse-battery", "Bearer ", "", "Bearer"]
        {
            get(path, wrong).await.assert_problem(401, &["unauthorized"]);
        }
        assert_eq!(get(path, &format!("Bearer {TOKEN}")).await.status, StatusCode::OK, "{path}");
        assert_eq!(get(path, "bearer another-valid-token").await.status, StatusCode::OK, "{path}");
    }
    for open in ["/health", "/ready", "/metrics", "/"] {
        assert_eq!(read_side.get(open).await.status, StatusCode::OK, "{open}");
    }
    read_side.get("/nothing").await.assert_problem(404, &["route not found"]);
}

#[test]
fn an_invalid_file_is_named_and_its_content_hidden() {
    for (text, part) in
        [("", "1 to"), ("# none", "1 to"), ("hunter2", "line 1"), ("\nhunter2 with some spaces", "line 2")]
    {
        let refused = load(text).unwrap_err();
        assert!(refused.contains(part) && !refused.contains("hunter2"), "{refused}");
    }
    assert!(ReadTokens::load("/nowhere/tokens").unwrap_err().to_string().contains("/nowhere/tokens"));
}
