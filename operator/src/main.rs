//! The command line: `run` starts the operator, `crd` prints its CustomResourceDefinition, `collect-report` reads the report of a test beside it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use crm_operator::api::CrmPlatform;
use crm_operator::context::Context;
use crm_operator::controller;
use crm_operator::cost::Prices;
use crm_operator::health;
use crm_operator::leader::{Election, Leadership, Timing};
use crm_operator::metrics::Metrics;
use crm_operator::observe::Stores;
use crm_operator::platform::Settings;
use crm_operator::policy::ImagePolicy;
use crm_operator::policy::signature::SignatureKeys;
use crm_operator::registry::Registry;
use crm_operator::report::collect;
use crm_operator::telemetry::{self, LogFormat};
use futures::FutureExt;
use kube::runtime::reflector;
use kube::{Client, Config, CustomResourceExt};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Safe continuous delivery of a CRM on Kubernetes.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator until SIGTERM.
    Run(Box<RunArgs>),
    /// Runs beside a test in its pod: waits for SIGTERM, then puts a summary of the test's reports into its termination message, and the reports into its log.
    CollectReport(CollectArgs),
    /// Print the CustomResourceDefinition as YAML.
    Crd,
}

#[derive(Args)]
struct CollectArgs {
    /// Folder of the reports.
    #[arg(long, env = "CRM_REPORT_DIR")]
    folder: PathBuf,
    /// File of the termination message.
    #[arg(long, default_value = "/dev/termination-log")]
    termination_log: PathBuf,
    /// Most bytes of the reports that go to the log, compressed.
    #[arg(long, env = "CRM_REPORT_KEEP_BYTES", default_value_t = crm_operator::kept::REPORT_BYTES)]
    keep_bytes: usize,
}

#[derive(Args)]
struct RunArgs {
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Image with PostgreSQL's server and client programs, for embedded databases and scratch databases.
    #[arg(long)]
    postgres_image: String,
    /// The operator's own image, as the pods of tests can pull it: it reads their reports. Needed for tests with `report`; without it they are not run.
    #[arg(long)]
    operator_image: Option<String>,
    /// Registries that speak plain http, as host:port, separated by commas.
    #[arg(long, value_delimiter = ',')]
    insecure_registries: Vec<String>,
    #[command(flatten)]
    images: ImageArgs,
    /// Price of one core for an hour.
    #[arg(long, default_value_t = 0.04)]
    price_cpu_hour: f64,
    /// Price of one GiB of memory for an hour.
    #[arg(long, default_value_t = 0.005)]
    price_memory_gib_hour: f64,
    /// Form of log lines.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Which log lines are written.
    #[arg(long, env = "LOG", default_value = "info")]
    log: String,
    /// Name of this process in events and in the Lease.
    #[arg(long, env = "POD_NAME", default_value = "crm-operator")]
    instance: String,
    /// Name of the Lease, in the operator's own namespace, whose holder alone acts. Without it this process acts in any case.
    #[arg(long)]
    lease: Option<String>,
}

/// Which images a CrmPlatform may use.
#[derive(Args)]
struct ImageArgs {
    /// Where images of a spec may come from: registries, or repositories and what lies below them, separated by commas. Without it from anywhere.
    #[arg(long, value_delimiter = ',')]
    allowed_registries: Vec<String>,
    /// Refuse images of a spec that are not named by digest.
    #[arg(long)]
    require_digest: bool,
    /// File with public keys (PEM; ECDSA on P-256 or P-384, or RSA of 2048 to 8192 bits): each image of a spec must have a cosign signature by one of them.
    #[arg(long)]
    signature_key: Option<PathBuf>,
}

impl ImageArgs {
    fn policy(&self) -> anyhow::Result<ImagePolicy> {
        let keys = self.signature_key.as_deref().map(|file| {
            let pem = std::fs::read(file)
                .with_context(|| format!("failed to read --signature-key {}", file.display()))?;
            let keys = SignatureKeys::parse(&pem);
            keys.with_context(|| format!("--signature-key {}", file.display()))
        });
        let keys = keys.transpose()?;
        let fingerprints = keys.iter().flat_map(SignatureKeys::fingerprints);
        let signature_keys = fingerprints.collect::<Vec<_>>().join(",");
        let (allowed, require_digest) = (&self.allowed_registries, self.require_digest);
        tracing::info!(?allowed, require_digest, signature_keys, "image policy");
        Ok(ImagePolicy::new(allowed, require_digest, keys)?)
    }
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Crd => {
            print!(
                "{}",
                serde_saphyr::to_string(&CrmPlatform::crd())
                    .context("failed to write the CustomResourceDefinition as YAML")?
            );
            Ok(())
        }
        Command::CollectReport(args) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("failed to start the runtime")?
            .block_on(collect::run(
                &args.folder,
                &args.termination_log,
                (args.keep_bytes, &mut std::io::stdout()),
            ))
            .context("failed to collect the report"),
        Command::Run(args) => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("failed to start the runtime")?
            .block_on(run(*args)),
    }
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider was installed already"))?;
    telemetry::start(args.log_format, &args.log)?;
    let images = args.images.policy()?;
    let stop = stop_signal()?.shared();
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("failed to listen on {}", args.listen))?;
    let (platforms, writer) = reflector::store();
    let stores = Stores::new(platforms);
    let metrics = Arc::new(Metrics::default());
    // Health is served until the process ends: a probe during the drain must not fail.
    tokio::spawn(health::serve(
        listener,
        (stores.clone(), metrics.clone()),
        std::future::pending(),
    ));
    let client = client().await?;
    let watches = stores.watch(&client, &metrics);
    let (leadership, election) = elect(&args, &client, &metrics);
    let context = Arc::new(Context {
        client,
        stores,
        registry: Registry::new(&args.insecure_registries, images.keys().cloned())?,
        settings: Settings {
            postgres_image: args.postgres_image,
            operator_image: args.operator_image,
            images,
            prices: Prices {
                cpu_hour: args.price_cpu_hour,
                memory_gib_hour: args.price_memory_gib_hour,
            },
        },
        backoff: Default::default(),
        told: Default::default(),
        written: Default::default(),
        drift: Default::default(),
        foreign: Default::default(),
        unsaved: Default::default(),
        leadership,
        metrics,
        instance: args.instance,
    });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %args.listen, "started");
    work(controller::run(context, (writer, watches), stop), election).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Whether this process leads, and how it comes to.
fn elect(
    args: &RunArgs,
    client: &Client,
    metrics: &Arc<Metrics>,
) -> (Arc<Leadership>, Option<Election>) {
    let Some(lease) = &args.lease else {
        metrics.leads(true);
        return (Arc::new(Leadership::unconditional()), None);
    };
    let leadership = Arc::new(Leadership::standby());
    let shared = (leadership.clone(), metrics.clone());
    let names = (lease.as_str(), args.instance.as_str());
    let election = Election::new(client, names, Timing::default(), shared);
    (leadership, Some(election))
}

/// Works to the end, and takes part in the election until then; ends at once when the Lease is lost.
async fn work(
    controller: impl Future<Output = ()>,
    election: Option<Election>,
) -> anyhow::Result<()> {
    let Some(election) = election else {
        controller.await;
        return Ok(());
    };
    let (done, ended) = oneshot::channel::<()>();
    // A task of its own: many reconciles must not hold up a renewal.
    let election = tokio::spawn(election.run(ended.map(drop)));
    let controller = async {
        controller.await;
        drop(done);
        anyhow::Ok(())
    };
    let election = async { Ok(election.await.context("the election broke off")??) };
    tokio::try_join!(controller, election)?;
    Ok(())
}

async fn client() -> anyhow::Result<Client> {
    let mut config = Config::infer().await.context(
        "found neither a service account nor a kubeconfig: run in a pod, or set KUBECONFIG",
    )?;
    config.connect_timeout = Some(Duration::from_secs(10));
    Client::try_from(config).context("failed to set up the client of the API server")
}

fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + Sync + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
