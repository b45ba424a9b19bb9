//! The `-- crm:` lines at the top of a migration file: text in, typed settings out. An unknown key, a missing timeout
//! or a key in the wrong phase is an error, because a setting that is silently ignored is a safety that is not there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::phase::Phase;

/// What a migration file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the statements and the ledger row are one transaction. `false`: exactly one statement, outside of any.
    pub transactional: bool,
    /// How long its statements may wait and run.
    pub limits: Limits,
    /// App level of the release that brings the file.
    pub app_level: i32,
    /// Checksums of earlier texts of this file, whose effect is the same.
    pub replaces: Vec<String>,
    /// What a backfill goes through.
    pub batches: Option<Batches>,
    /// What a contract waits for.
    pub conditions: Option<Conditions>,
    /// Tables whose statistics a backfill renews when it is done.
    pub analyze: Vec<String>,
}

/// How long a statement may wait and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a statement may wait for a lock; others queue behind it for as long.
    pub lock_timeout: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
}

/// The table that a backfill walks, in the order of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    /// Qualified name of the table whose rows are locked, batch by batch.
    pub table: String,
    /// Its key column.
    pub key: String,
    /// Rows in a batch, at most.
    pub size: i64,
}

/// What must be true before a contract may drop anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The floor after it.
    pub min_app_level: i32,
    /// Backfills, by name, that must be done.
    pub backfills: Vec<String>,
    /// How long the release must have served.
    pub soak: Duration,
}

type Keys = BTreeMap<String, String>;

/// Reads the header of a file of the given phase. The error is one sentence without the file's name.
///
/// # Errors
/// A key is unknown, missing, twice there, or its value cannot be read.
pub fn parse(phase: Phase, source: &str) -> Result<Header, String> {
    let mut keys = keys(source)?;
    let stated = take(&mut keys, "phase")?;
    if stated != phase.name() {
        let name = phase.name();
        return Err(format!("phase={stated} but the file's name says {name}"));
    }
    let transactional = match take(&mut keys, "tx")?.as_str() {
        "yes" => true,
        "no" if phase == Phase::Expand => false,
        other => return Err(format!("tx={other}: write yes, or no for an expand")),
    };
    let header = Header {
        transactional,
        limits: Limits {
            lock_timeout: duration(&take(&mut keys, "lock_timeout")?)?,
            statement_timeout: duration(&take(&mut keys, "statement_timeout")?)?,
        },
        app_level: number(&take(&mut keys, "app_level")?)?,
        replaces: list(keys.remove("replaces")),
        batches: (phase == Phase::Backfill)
            .then(|| batches(&mut keys))
            .transpose()?,
        conditions: (phase == Phase::Contract)
            .then(|| conditions(&mut keys))
            .transpose()?,
        analyze: match phase {
            Phase::Backfill => list(keys.remove("analyze")),
            _ => Vec::new(),
        },
    };
    match keys.keys().next() {
        Some(key) => Err(format!(
            "{key}= is not known in phase {}: remove it",
            phase.name()
        )),
        None => Ok(header),
    }
}

fn batches(keys: &mut Keys) -> Result<Batches, String> {
    let size = i64::from(number(&take(keys, "batch")?)?);
    if !(1..=10_000).contains(&size) {
        return Err(format!("batch={size}: write 1 to 10000"));
    }
    let (table, key) = (take(keys, "table")?, take(keys, "key")?);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let parts: Vec<_> = table.split('.').chain([key.as_str()]).collect();
    if parts.len() != 3
        || parts
            .iter()
            .any(|part| part.is_empty() || !part.chars().all(plain))
    {
        return Err(format!(
            "table={table} key={key}: write schema.table and a column, in lower case"
        ));
    }
    Ok(Batches { table, key, size })
}

fn conditions(keys: &mut Keys) -> Result<Conditions, String> {
    Ok(Conditions {
        min_app_level: number(&take(keys, "min_app_level")?)?,
        backfills: list(keys.remove("requires_backfill")),
        soak: duration(&take(keys, "requires_soak")?)?,
    })
}

/// Collects `key=value` of the leading `-- crm:` lines; a second `--` starts a remark.
fn keys(source: &str) -> Result<Keys, String> {
    let mut keys = Keys::new();
    for line in source.lines().map(str::trim) {
        let Some(comment) = line.strip_prefix("--") else {
            break;
        };
        let Some(settings) = comment.trim_start().strip_prefix("crm:") else {
            continue;
        };
        let settings = settings.split("--").next().unwrap_or_default();
        for word in settings.split_whitespace() {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word} is not key=value"))?;
            if keys.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(format!("{key}= is there twice"));
            }
        }
    }
    Ok(keys)
}

fn take(keys: &mut Keys, key: &str) -> Result<String, String> {
    keys.remove(key)
        .ok_or_else(|| format!("{key}= is missing in the -- crm: lines at the top"))
}

fn number(value: &str) -> Result<i32, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{value} is not a number above 0")),
    }
}

fn duration(value: &str) -> Result<Duration, String> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let wrong = || format!("{value} is not a duration: write for example 300ms, 5s, 10m or 24h");
    let amount: u32 = digits.parse().map_err(|_| wrong())?;
    let unit = match &value[digits.len()..] {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(wrong()),
    };
    unit.checked_mul(amount).ok_or_else(wrong)
}

fn list(value: Option<String>) -> Vec<String> {
    let value = value.unwrap_or_default();
    let items = value.split(',').filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPAND: &str = "-- crm: phase=expand tx=yes lock_timeout=300ms statement_timeout=5s\n-- crm: app_level=2 -- brings it\n";

    #[test]
    fn reads_the_settings_and_skips_remarks() {
        let header = parse(Phase::Expand, EXPAND).unwrap();
        assert_eq!(header.limits.lock_timeout, Duration::from_millis(300));
        assert_eq!(header.limits.statement_timeout, Duration::from_secs(5));
        assert_eq!((header.transactional, header.app_level), (true, 2));
    }

    #[test]
    fn refuses_what_it_does_not_know_or_misses() {
        for (change, expected) in [
            (("lock_timeout=300ms", ""), "lock_timeout= is missing"),
            (
                ("statement_timeout=5s", "statement_timeout=5"),
                "not a duration",
            ),
            (
                ("app_level=2", "app_level=2 requires_soak=1h"),
                "requires_soak= is not known",
            ),
            (
                ("phase=expand", "phase=contract"),
                "the file's name says expand",
            ),
            (("app_level=2", "app_level=2 tx=no"), "tx= is there twice"),
            (("app_level=2", "app_level=0"), "0 is not a number above 0"),
        ] {
            let message = parse(Phase::Expand, &EXPAND.replace(change.0, change.1)).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn asks_a_contract_for_its_conditions() {
        let source = EXPAND.replace("phase=expand", "phase=contract");
        let message = parse(Phase::Contract, &source).unwrap_err();
        assert!(message.contains("min_app_level= is missing"), "{message}");
        let source =
            format!("{source}-- crm: min_app_level=2 requires_backfill=a,b requires_soak=24h");
        let conditions = parse(Phase::Contract, &source).unwrap().conditions.unwrap();
        assert_eq!(conditions.backfills, ["a", "b"]);
        assert_eq!(conditions.soak, Duration::from_secs(24 * 3600));
    }
}
