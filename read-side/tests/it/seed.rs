//! A router over seeded tables in a temporary directory, and a client of it.

use std::path::{Path, PathBuf};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use axum::{Extension, Router};
use millrace_mssql::ReadModelUrl;
use millrace_platform::change_feed::ChangeFeed;
use millrace_platform::http::ShutdownToken;
use millrace_platform::metrics::{HttpMetrics, MetricsRegistry, StoreMetrics};
use millrace_platform::sqlite::{READ_MODEL_SCHEMA, Synchronous, migrate, open_writer};
use millrace_read_side::config::GraphqlConfig;
use millrace_read_side::{ReadConfig, ReadModel};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) struct ReadSide {
    router: Router,
    pub(crate) registry: MetricsRegistry,
    /// Durations of the store, by operation.
    pub(crate) store: StoreMetrics,
    pub(crate) feed: ChangeFeed,
    directory: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Creates or opens a migrated database, inserts rows and returns the connection.
pub(crate) fn database(path: &Path, rows: &str) -> rusqlite::Connection {
    let mut writer = open_writer(path, Synchronous::Normal, 1 << 20, 1000).unwrap();
    migrate(&mut writer, READ_MODEL_SCHEMA).unwrap();
    writer.execute_batch(include_str!("seed_writes.sql")).unwrap();
    writer.execute_batch(rows).unwrap();
    writer
}

impl ReadSide {
    pub(crate) fn seeded() -> Self {
        Self::with_config(&ReadConfig::default())
    }

    /// With settings of GraphQL.
    pub(crate) fn with_graphql(graphql: GraphqlConfig) -> Self {
        Self::with_config(&ReadConfig { graphql, ..ReadConfig::default() })
    }

    pub(crate) fn with_config(config: &ReadConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("read-model.db");
        drop(database(&path, include_str!("seed.sql")));
        let registry = MetricsRegistry::new();
        let store = StoreMetrics::register(&registry);
        let read_model = ReadModel::open(&ReadModelUrl::Sqlite(path), store.clone()).unwrap();
        Self::over(read_model, config, (registry, store), directory)
    }

    /// Over another store. The directory is deleted with the read side.
    pub(crate) fn over(
        read_model: ReadModel,
        config: &ReadConfig,
        (registry, store): (MetricsRegistry, StoreMetrics),
        directory: TempDir,
    ) -> Self {
        let feed = ChangeFeed::in_process();
        let http = HttpMetrics::register(&registry);
        Self {
            router: millrace_read_side::http::router(
                read_model,
                config,
                Some(feed.clone()),
                &registry,
                &http,
            ),
            registry,
            store,
            feed,
            directory,
        }
    }

    /// Serves on a free TCP port until the test ends; returns host and port.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(axum::serve(listener, self.router.clone()).into_future());
        address
    }

    /// Like [`ReadSide::serve`], with requests that know the end of the process.
    pub(crate) async fn serve_until(&self, shutdown: ShutdownToken) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = self.router.clone().layer(Extension(shutdown));
        tokio::spawn(axum::serve(listener, router).into_future());
        address
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("read-model.db")
    }

    /// The answer before its body is read.
    pub(crate) async fn open(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.open(request).await;
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Sends a GraphQL request that accepts `application/graphql-response+json`.
    pub(crate) async fn post(&self, body: impl Into<Body>) -> Answer {
        let request = Request::post("/graphql")
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::ACCEPT, "application/graphql-response+json")
            .body(body.into());
        self.send(request.unwrap()).await
    }

    pub(crate) async fn query(&self, query: &str, variables: serde_json::Value) -> Answer {
        let body = serde_json::json!({ "query": query, "variables": variables });
        self.post(body.to_string()).await
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a problem with the status, and that its text contains all of `words`.
    pub(crate) fn assert_problem(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json");
        assert_eq!(self.json()["status"], status);
        for word in words {
            assert!(self.text().contains(word), "{word} not in {}", self.text());
        }
    }
}
