//! The REST routes: answers, invalid requests, conditional requests.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::json;

use crate::seed::{ReadSide, database};

#[tokio::test]
async fn a_user_comes_with_the_last_five_orders_newest_first() {
    let read_side = ReadSide::seeded();
    let answer = read_side.get("/users/customer-2").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let json = answer.json();
    assert_eq!(
        json["user"],
        json!({
            "userId": "customer-2",
            "name": "Leonie Köhler",
            "email": "leonekohler@surfeu.de",
            "createdAt": "2026-01-01T00:00:00Z"
        })
    );
    let orders = json["recentOrders"].as_array().unwrap();
    let ids: Vec<_> = orders.iter().map(|order| order["orderId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["invoice-7", "invoice-6", "invoice-5", "invoice-4", "invoice-3"]);
    assert_eq!(
        orders[0],
        json!({
            "orderId": "invoice-7",
            "userId": "customer-2",
            "amount": 0.99,
            "currency": "EUR",
            "status": "PLACED",
            "placedAt": "2026-01-06T00:00:00Z",
            "items": [],
            "payment": {
                "paymentId": null, "amount": 0.99, "currency": "EUR",
                "method": null, "status": "PENDING", "settledAt": null
            }
        })
    );
    assert_eq!(orders[1]["payment"], json!(null));
    assert_eq!(orders[2]["payment"]["status"], "FAILED");
    let statements = ["user_with_orders", "users", "recent_orders"];
    assert_eq!(statements.map(|name| read_side.store.operations(name)), [1, 0, 0]);
    let without = read_side.get("/users/customer-61").await.json();
    assert_eq!(without["user"]["name"], "Without Orders");
    assert_eq!(without["recentOrders"], json!([]));
}

#[tokio::test]
async fn an_order_has_its_payment_beside_it_and_every_digit() {
    let read_side = ReadSide::seeded();
    let text = read_side.get("/orders/invoice-20").await.text().to_owned();
    assert_eq!(
        text,
        concat!(
            r#"{"order":{"orderId":"invoice-20","userId":"customer-59","amount":922337203685477.5807,"#,
            r#""currency":"USD","status":"PLACED","placedAt":"2026-01-06T00:00:00.123456Z","items":["#,
            r#"{"sku":"track-2","quantity":1000000000,"unitPrice":922337203685477.5807},"#,
            r#"{"sku":"track-3","quantity":2,"unitPrice":0.125}]},"#,
            r#""payment":{"paymentId":"payment-20","amount":922337203685477.5807,"currency":"USD","#,
            r#""method":"wire","status":"SETTLED","settledAt":"2026-01-06T00:00:01Z"}}"#
        )
    );
    let unpaid = read_side.get("/orders/invoice-6").await.json();
    assert_eq!(unpaid["payment"], json!(null));
    assert!(unpaid["order"].get("payment").is_none());
}

#[tokio::test]
async fn recent_users_are_listed_newest_first() {
    let read_side = ReadSide::seeded();
    for (path, ids) in [
        ("/users/recent", &["customer-61", "customer-60", "customer-59", "customer-2"][..]),
        ("/users/recent?limit=2", &["customer-61", "customer-60"]),
        ("/users/recent?limit=100", &["customer-61", "customer-60", "customer-59", "customer-2"]),
    ] {
        let answer = read_side.get(path).await;
        let json = answer.json();
        let users = json["users"].as_array().unwrap();
        let found: Vec<_> = users.iter().map(|user| user["userId"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{path}");
    }
    let newest = read_side.get("/users/recent").await.json();
    assert_eq!(newest["users"][1]["name"], "山田 🌸 \"Yuki\"");
}

#[tokio::test]
async fn stock_is_an_integer_of_64_bits() {
    let read_side = ReadSide::seeded();
    let text = read_side.get("/inventory/track-2").await.text().to_owned();
    assert_eq!(text, r#"{"item":{"sku":"track-2","quantity":9007199254740993,"reportedQuantity":40}}"#);
    let below_zero = read_side.get("/inventory/track-3").await.json();
    assert_eq!(below_zero["item"], json!({"sku": "track-3", "quantity": -5, "reportedQuantity": null}));
}

#[tokio::test]
async fn invalid_requests_are_explained() {
    let read_side = ReadSide::seeded();
    let long = format!("/users/{}", "x".repeat(65));
    let rule = "allowed are letters, digits and . _ : @ -";
    for (path, status, words) in [
        ("/users/unknown", 404, &[r#"user \"unknown\" not found"#][..]),
        ("/users/CUSTOMER-2", 404, &["CUSTOMER-2"]),
        ("/orders/invoice-88", 404, &["invoice-88"]),
        ("/inventory/nothing", 404, &["nothing"]),
        ("/users/", 404, &["route not found"]),
        ("/nowhere", 404, &["route not found"]),
        (&long, 422, &["65 characters"]),
        ("/users/a%20b", 422, &[rule, "' '"]),
        ("/orders/a%27--", 422, &[rule]),
        ("/orders/%F0%9F%8C%B8", 422, &[rule, "🌸"]),
        ("/inventory/%FF", 422, &["SKU is not UTF-8"]),
        ("/users/recent?limit=0", 422, &["from 1 to 100"]),
        ("/users/recent?limit=101", 422, &["from 1 to 100"]),
        ("/users/recent?limit=-1", 422, &["limit"]),
        ("/users/recent?limit=abc", 422, &["limit"]),
        ("/users/recent?limit=", 422, &["limit"]),
        ("/users/recent?limit=1&limit=2", 422, &["limit"]),
        ("/users/recent?page=2", 422, &["unknown field", "page"]),
    ] {
        let answer = read_side.get(path).await;
        println!("{path}");
        answer.assert_problem(status, words);
    }
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_allow() {
    let read_side = ReadSide::seeded();
    for (method, path) in [
        (Method::POST, "/users/customer-2"),
        (Method::DELETE, "/orders/invoice-20"),
        (Method::PUT, "/graphql"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty());
        let answer = read_side.send(request.unwrap()).await;
        answer.assert_problem(405, &["method-not-allowed"]);
        assert!(answer.header(header::ALLOW).contains("GET"), "{path}");
    }
}

#[tokio::test]
async fn the_routes_of_every_service_exist() {
    let read_side = ReadSide::seeded();
    assert_eq!(read_side.get("/ready").await.json(), json!({"status": "ready"}));
    assert_eq!(read_side.get("/health").await.status, StatusCode::OK);
    let landing = read_side.get("/").await;
    assert!(landing.header(header::CONTENT_TYPE).starts_with("text/html"));
    for link in landing.text().split("href=\"").skip(1) {
        let path = link.split('"').next().unwrap();
        assert!(read_side.get(path).await.status != StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    read_side.get("/users/customer-2").await;
    let metrics = read_side.get("/metrics").await.text().to_owned();
    assert!(metrics.contains(r#"route="/users/{id}""#), "{metrics}");
}

/// Reads a list by its header `Link` with this relation; returns the ids of each page.
async fn walk(read_side: &ReadSide, first: &str, relation: &str, list: &str, id: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut path = Some(first.to_owned());
    while let Some(here) = path {
        let answer = read_side.get(&here).await;
        assert_eq!(answer.status, StatusCode::OK, "{here}: {}", answer.text());
        let rows = answer.json()[list].as_array().unwrap().clone();
        let of_order = |row: &serde_json::Value| row[id].as_str().unwrap().to_owned();
        pages.push(rows.iter().map(of_order).collect());
        let links = answer.header(header::LINK).to_owned();
        let link = links.split(", ").find(|link| link.ends_with(&format!("rel=\"{relation}\"")));
        path = link.map(|link| link[1..link.find('>').unwrap()].to_owned());
        assert!(pages.len() < 100, "the list ends");
    }
    pages
}

#[tokio::test]
async fn lists_are_walked_forward_and_back() {
    let read_side = ReadSide::seeded();
    for (path, list, id) in [
        ("/users", "users", "userId"),
        ("/orders", "orders", "orderId"),
        ("/users/customer-2/orders", "orders", "orderId"),
    ] {
        let whole = walk(&read_side, &format!("{path}?limit=100"), "next", list, id).await.concat();
        assert!(!whole.is_empty(), "{path}");
        let pages = walk(&read_side, &format!("{path}?limit=2"), "next", list, id).await;
        assert_eq!(pages.concat(), whole, "{path}");
        assert!(pages.iter().all(|page| (1..=2).contains(&page.len())), "{path}: {pages:?}");
        // From the last page to the first.
        let mut last = format!("{path}?limit=2");
        for _ in 1..pages.len() {
            last = format!(
                "{path}?limit=2&after={}",
                read_side.get(&last).await.json()["next"].as_str().unwrap()
            );
        }
        let mut back = walk(&read_side, &last, "prev", list, id).await;
        back.reverse();
        assert_eq!(back, pages, "{path}");
    }
}

#[tokio::test]
async fn links_keep_the_other_parameters() {
    let read_side = ReadSide::seeded();
    let answer = read_side.get("/orders?status=PLACED&limit=1&placedFrom=2000-01-01T00%3A00%3A00Z").await;
    let next = answer.json()["next"].as_str().unwrap().to_owned();
    let expected = format!(
        "</orders?status=PLACED&limit=1&placedFrom=2000-01-01T00%3A00%3A00Z&after={next}>; rel=\"next\""
    );
    assert_eq!(answer.header(header::LINK), expected);
    assert_eq!(answer.json()["previous"], json!(null));
    let none = read_side.get("/orders?status=NEVER").await;
    assert_eq!(none.json(), json!({"orders": [], "next": null, "previous": null}));
    assert_eq!(none.header(header::LINK), "");
}

#[tokio::test]
async fn orders_are_filtered_by_time() {
    let read_side = ReadSide::seeded();
    let all = read_side.get("/orders?limit=100").await.json();
    let newest = all["orders"][0]["placedAt"].as_str().unwrap();
    let from = read_side.get(&format!("/orders?placedFrom={newest}")).await.json();
    assert!(from["orders"].as_array().unwrap().iter().all(|order| order["placedAt"] == newest));
    let until = read_side.get(&format!("/orders?limit=100&placedUntil={newest}")).await.json();
    assert!(until["orders"].as_array().unwrap().iter().all(|order| order["placedAt"] != newest));
    let count = |page: &serde_json::Value| page["orders"].as_array().unwrap().len();
    assert_eq!(count(&from) + count(&until), count(&all));
}

#[tokio::test]
async fn invalid_list_parameters_are_rejected() {
    let read_side = ReadSide::seeded();
    let cursor = read_side.get("/users?limit=1").await.json()["next"].as_str().unwrap().to_owned();
    for (path, word) in [
        ("/users?limit=0".to_owned(), "limit"),
        ("/orders?limit=101".to_owned(), "limit"),
        ("/users?after=x".to_owned(), "after"),
        ("/orders?before=%C3%A4".to_owned(), "before"),
        (format!("/users?after={cursor}&before={cursor}"), "not both"),
        ("/users?page=2".to_owned(), "page"),
        ("/users?status=PLACED".to_owned(), "status"),
        ("/orders?status=".to_owned(), "status"),
        ("/orders?placedFrom=yesterday".to_owned(), "placedFrom"),
        ("/users/customer-2?limit=3".to_owned(), "query"),
        ("/orders/invoice-20?x".to_owned(), "query"),
        ("/inventory/track-2?verbose=1".to_owned(), "query"),
    ] {
        println!("{path}");
        read_side.get(&path).await.assert_problem(422, &[word]);
    }
    read_side.get("/users/unknown/orders").await.assert_problem(404, &["unknown"]);
}

#[tokio::test]
async fn an_unchanged_answer_is_304() {
    let read_side = ReadSide::seeded();
    let get = async |method: Method, path: &str, known: &str| {
        let request = Request::builder().method(method).uri(path).header(header::IF_NONE_MATCH, known);
        read_side.send(request.body(Body::empty()).unwrap()).await
    };
    for path in ["/users/customer-2", "/orders", "/inventory/track-2"] {
        let first = read_side.get(path).await;
        let tag = first.header(header::ETAG).to_owned();
        assert!(tag.starts_with("W/\""), "{tag}");
        for known in [&*tag, "*", &format!("\"a\", {tag}"), tag.trim_start_matches("W/")] {
            let again = get(Method::GET, path, known).await;
            assert_eq!((again.status.as_u16(), again.text()), (304, ""), "{path} {known}");
            assert_eq!(again.header(header::ETAG), tag);
        }
        assert_eq!(get(Method::GET, path, "W/\"0\"").await.status, StatusCode::OK);
        assert_eq!(get(Method::HEAD, path, &tag).await.status, StatusCode::NOT_MODIFIED);
    }
    let before = read_side.get("/inventory/track-2").await.header(header::ETAG).to_owned();
    drop(database(&read_side.path(), "UPDATE inventory SET quantity = quantity + 1 WHERE sku = 'track-2'"));
    assert_eq!(get(Method::GET, "/inventory/track-2", &before).await.status, StatusCode::OK);
    read_side.get("/users/unknown").await.assert_problem(404, &["unknown"]);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let read_side = ReadSide::seeded();
    for path in ["/users/customer-2", "/orders?limit=3", "/"] {
        let get = read_side.get(path).await;
        let head = read_side.send(Request::head(path).body(Body::empty()).unwrap()).await;
        assert_eq!((head.status, head.text()), (StatusCode::OK, ""), "{path}");
        assert_eq!(head.header(header::CONTENT_TYPE), get.header(header::CONTENT_TYPE));
        assert_eq!(head.header(header::ETAG), get.header(header::ETAG));
        assert_eq!(head.header(header::CONTENT_LENGTH), get.body.len().to_string(), "{path}");
    }
}
