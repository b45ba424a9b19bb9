//! A database with the schemas of both services, running services on free ports, and keys whose tokens they accept.

use std::env;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use crm_service::auth::Verifier;
use crm_service::auth::mint::Mint;
use crm_service::client::{Answer, Call, Client};
use crm_service::migrate::perform;
use crm_service::migrate::phase::Phase;
use crm_service::migrate::report::Outcome;
use crm_service::migrate::set::Set;
use crm_service::migrate::settings::Settings as Migration;
use crm_service::schema;
use crm_service::serve::{Application, Error, Settings};
use crm_service::service::Service;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A platform without its services.
pub struct Platform {
    pub name: String,
    pub options: PgConnectOptions,
    pub private_key: String,
    pub key_set: String,
}

/// A running service.
pub struct Running {
    pub address: SocketAddr,
    pub mint: Mint,
    pub client: Client,
    service: Service,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

fn server() -> PgConnectOptions {
    let url = env::var("DATABASE_URL").expect("DATABASE_URL names a throwaway PostgreSQL server");
    PgConnectOptions::from_str(&url)
        .unwrap()
        .disable_statement_logging()
}

impl Platform {
    /// A platform whose schemas are not there yet.
    pub async fn empty() -> Platform {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!(
            "api_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let mut admin = server().connect().await.unwrap();
        for statement in [
            format!("drop database if exists {name} with (force)"),
            format!("create database {name}"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut admin)
                .await
                .unwrap();
        }
        let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let private_key = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(document.as_ref())
        );
        let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "test", "use": "sig", "alg": "EdDSA", "x": public});
        Platform {
            options: server().database(&name),
            name,
            private_key,
            key_set: json!({"keys": [key]}).to_string(),
        }
    }

    /// A platform with the schemas of both services.
    pub async fn migrated() -> Platform {
        let platform = Platform::empty().await;
        for service in Service::ALL {
            platform.migrate(service, Phase::Expand).await;
        }
        platform
    }

    /// Does one phase, which must have something to do.
    pub async fn migrate(&self, service: Service, phase: Phase) {
        let settings = Migration {
            database: self.options.clone(),
            owner_role: None,
            app_role: None,
            soaked: Some(Duration::from_secs(60)),
            rehearsal: false,
            release: "r1".to_owned(),
            deadline: Duration::from_secs(60),
            lock_deadline: Duration::from_secs(30),
        };
        let set = Set::embedded(&schema::of(service)).unwrap();
        let report = perform(&set, &settings, phase).await;
        assert_eq!(report.outcome, Outcome::Done, "{}", report.message);
    }

    pub async fn connect(&self) -> PgConnection {
        self.options.connect().await.unwrap()
    }

    pub async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
    }

    pub async fn count(&self, sql: &str) -> i64 {
        let mut connection = self.connect().await;
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// Waits until a count is reached.
    pub async fn wait(&self, sql: &str, least: i64) {
        for _ in 0..450 {
            if self.count(sql).await >= least {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{sql} did not reach {least} within 90 s");
    }

    pub fn url(&self) -> String {
        let mut url = env::var("DATABASE_URL").unwrap();
        let query = url
            .find('?')
            .map(|at| url.split_off(at))
            .unwrap_or_default();
        let host = url.find("://").map_or(0, |at| at + 3);
        let end = url[host..].find('/').map_or(url.len(), |at| host + at);
        format!("{}/{}{query}", &url[..end], self.name)
    }

    pub fn settings(&self, service: Service) -> Settings {
        Settings {
            service,
            listen: "127.0.0.1:0".parse().unwrap(),
            database: self.options.clone(),
            pool_size: 5,
            verifier: Verifier::from_json(&self.key_set).unwrap(),
            drain_delay: Duration::ZERO,
        }
    }

    /// A service that is ready.
    pub async fn serve(&self, service: Service) -> Running {
        self.start(self.settings(service)).await.ready().await
    }

    /// A service that may not be ready yet.
    pub async fn start(&self, settings: Settings) -> Running {
        let service = settings.service;
        let application = Application::build(settings).await.unwrap();
        let address = application.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(application.run_until(async move {
            let _ = stopped.await;
        }));
        let mint = Mint::new(
            &self.private_key,
            &Verifier::from_json(&self.key_set).unwrap(),
        )
        .unwrap();
        Running {
            address,
            mint,
            client: Client::new(true),
            service,
            stop: Some(stop),
            task,
        }
    }

    pub async fn drop(self) {
        let mut admin = server().connect().await.unwrap();
        let statement = format!("drop database {} with (force)", self.name);
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut admin)
            .await
            .unwrap();
    }
}

impl Running {
    /// The same once it is ready; it gets five seconds.
    pub async fn ready(self) -> Running {
        for _ in 0..200 {
            if self.ask("/readyz").await.status == StatusCode::OK {
                return self;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the service did not become ready");
    }

    /// Asks beside the API.
    pub async fn ask(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], &Value::Null)
            .await
            .unwrap()
    }

    /// Asks the API with role `admin`.
    pub async fn api(
        &self,
        method: Method,
        path: &str,
        version: Option<i64>,
        body: &Value,
    ) -> Answer {
        let mut headers = vec![(
            header::AUTHORIZATION,
            format!("Bearer {}", self.mint.token("api-test", &["admin"], None)),
        )];
        headers.extend(version.map(|version| (header::IF_MATCH, format!("\"{version}\""))));
        let path = format!("/api/{}/v1{path}", self.service);
        self.send(method, &path, &headers, body).await.unwrap()
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, String)],
        body: &Value,
    ) -> Result<Answer, crm_service::client::Error> {
        let mut headers = headers.to_vec();
        if !body.is_null() {
            headers.push((header::CONTENT_TYPE, "application/json".to_owned()));
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.client
            .send(Call {
                method,
                address: format!("http://{}{path}", self.address),
                headers,
                body,
            })
            .await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes an account; the service must be `customer`.
    pub async fn account(&self, name: &str) -> Value {
        let answer = self
            .api(
                Method::POST,
                "/accounts",
                None,
                &json!({"name": name, "external_source": "test", "external_id": Uuid::now_v7()}),
            )
            .await;
        assert_eq!(answer.status, StatusCode::CREATED);
        answer.json()
    }

    /// Tells it to stop, without waiting.
    pub fn tell_to_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// How it ended.
    pub async fn end(self) -> Result<(), Error> {
        tokio::time::timeout(Duration::from_secs(30), self.task)
            .await
            .expect("it ends in time")
            .unwrap()
    }

    pub async fn stop(mut self) {
        self.tell_to_stop();
        self.end().await.unwrap();
    }
}
