use serde_json::json;
use crate::seed::ReadSide;
#[tokio::test]
async fn scratch() {
    let r = ReadSide::seeded();
    for q in [
        r#"{ user(id: "customer-2") { recentOrders(limit: null) { orderId } name } }"#.to_owned(),
        r#"query($l: Int){ user(id: "customer-2") { recentOrders(limit: $l) { orderId } name } }"#.to_owned(),
    ] {
        let a = r.query(&q, json!({})).await;
        println!("{:.60} -> {:.300}", q, a.text());
    }
    let mut n = 50;
    while n < 30000 { 
    for q in [
        format!("{{{}name{}}}", "...{".repeat(n), "}".repeat(n)),
        format!("{{users(ids:{}{}){{name}}}}", "[".repeat(n), "]".repeat(n)),
        format!("query($a:ID={}{}){{users(ids:[$a]){{name}}}}", "[".repeat(n), "]".repeat(n)),
        format!("{{users(ids:{}1{}){{name}}}}", "{a:".repeat(n), "}".repeat(n)),
        format!("{{users(ids:{}$x{}){{name}}}}", "{a:".repeat(n), "}".repeat(n)),
        format!("query($a:{}Int{}){{users(ids:$a){{name}}}}", "[".repeat(n), "]".repeat(n)),
        format!("{{{}name{}}}","a{".repeat(n),"}".repeat(n)),
    ] {
        if q.len() > 65000 {continue}
        let a = r.query(&q, json!({})).await;
        assert!(a.json()["errors"].is_array());
        println!("{n} {:.14} {:.100}", q,a.text());
    }
    n = n * 5 / 4;
    }
}
