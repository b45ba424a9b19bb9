//! Two processes, one Lease, and a network that holds up, loses and answers late. Their clocks show different times and go at the same rate.
//!
//! A process may also stop for a while (and then go on as if nothing had happened), crash, or release; one that ended is started again.

use proptest::prelude::*;

use super::*;

/// A tick of the model is half a second.
const TICK: Duration = Duration::from_millis(500);
const TICKS: u64 = 600;
/// Ticks after which, with a network and processes that do as they should, somebody must lead.
const CALM_TICKS: u64 = 240;

/// A request on its way, and its answer.
#[derive(Clone, Debug)]
struct Request {
    sent: u64,
    /// Nothing: a read. Otherwise the holder to write over this version (empty: none was there).
    write: Option<(String, String)>,
    arrives: u64,
    answered: Option<u64>,
    /// Set when it arrived: what was read, or what the write left.
    outcome: Option<Result<Option<Held>, ()>>,
}

struct Process {
    elector: Elector,
    /// What its own clock shows at tick 0.
    zero: Instant,
    version: String,
    request: Option<Request>,
    given_up_at: u64,
    stopped_until: u64,
    starts_at: u64,
}

impl Process {
    fn new(name: usize, generation: u64, zero: Instant) -> Self {
        let identity = format!("{name}_{generation}");
        Self {
            elector: Elector::new(identity, Timing::default()),
            zero,
            version: String::new(),
            request: None,
            given_up_at: 0,
            stopped_until: 0,
            starts_at: generation,
        }
    }

    fn clock(&self, tick: u64) -> Instant {
        self.zero + TICK * u32::try_from(tick).unwrap()
    }

    fn leads(&self, tick: u64) -> bool {
        let until = self.elector.until();
        until.is_some_and(|until| self.clock(tick) < until)
    }
}

struct Model {
    processes: [Process; 2],
    lease: Option<Held>,
    writes: u64,
    /// Requests that nobody waits for any more.
    adrift: Vec<Request>,
    dice: u64,
    /// Nothing bad happens any more.
    calm: bool,
}

impl Model {
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn turn(&mut self, tick: u64) {
        let mut adrift = std::mem::take(&mut self.adrift);
        adrift
            .iter_mut()
            .for_each(|request| self.arrive(request, tick));
        adrift.retain(|request| request.outcome.is_none());
        self.adrift.append(&mut adrift);
        for index in 0..2 {
            if let Some(mut request) = self.processes[index].request.take() {
                self.arrive(&mut request, tick);
                self.processes[index].request = Some(request);
            }
        }
        for index in 0..2 {
            self.live(index, tick);
        }
    }

    /// What the API server does with a request that reaches it now.
    fn arrive(&mut self, request: &mut Request, tick: u64) {
        if tick < request.arrives || request.outcome.is_some() {
            return;
        }
        let Some((holder, over)) = &request.write else {
            request.outcome = Some(Ok(self.lease.clone()));
            return;
        };
        let version = self.lease.as_ref().map_or("", |held| &held.version);
        if version != over {
            request.outcome = Some(Err(()));
            return;
        }
        self.writes += 1;
        self.lease = Some(super::held(holder, &self.writes.to_string()));
        request.outcome = Some(Ok(self.lease.clone()));
    }

    /// One tick of one process.
    fn live(&mut self, index: usize, tick: u64) {
        if tick < self.processes[index].stopped_until || tick < self.processes[index].starts_at {
            return;
        }
        match self.roll(80) {
            _ if self.calm => {}
            0 => self.processes[index].stopped_until = tick + self.roll(60),
            1 => return self.restart(index, tick),
            2 => return self.release(index, tick),
            _ => {}
        }
        self.hear(index, tick);
        let process = &self.processes[index];
        if process.request.is_some() {
            return;
        }
        let write = match process.elector.step(process.clock(tick)) {
            Step::Wait(_) => return,
            Step::Lost => return self.restart(index, tick),
            Step::Look => None,
            Step::Acquire | Step::Renew => Some((
                process.elector.identity().to_owned(),
                process.version.clone(),
            )),
        };
        self.send(index, tick, write);
    }

    fn send(&mut self, index: usize, tick: u64, write: Option<(String, String)>) {
        let slow = if self.roll(3) == 0 && !self.calm {
            30
        } else {
            2
        };
        let arrives = tick + self.roll(slow);
        let answered = (self.roll(5) > 0 || self.calm).then(|| arrives + self.roll(slow));
        let process = &mut self.processes[index];
        let patience = process.elector.patience(process.clock(tick));
        process.given_up_at =
            tick + u64::try_from(patience.as_millis() / TICK.as_millis()).unwrap();
        process.request = Some(Request {
            sent: tick,
            write,
            arrives,
            answered,
            outcome: None,
        });
    }

    /// An answer, or the end of patience.
    fn hear(&mut self, index: usize, tick: u64) {
        let pause = TICK * u32::try_from(3 + self.roll(2)).unwrap();
        let process = &mut self.processes[index];
        let now = process.clock(tick);
        let Some(request) = process.request.take() else {
            return;
        };
        let answer = request.answered.filter(|at| *at <= tick);
        match (answer.and(request.outcome.clone()), &request.write) {
            (Some(Ok(found)), None) => {
                process.version = found
                    .as_ref()
                    .map_or_else(String::new, |held| held.version.clone());
                process.elector.looked(found, now, pause);
            }
            (Some(Ok(Some(stored))), Some(_)) => {
                process.version = stored.version.clone();
                process.elector.wrote(
                    stored,
                    process.zero + TICK * u32::try_from(request.sent).unwrap(),
                    pause,
                );
            }
            (Some(_), _) => process.elector.failed(now, pause),
            (None, _) if tick >= process.given_up_at => {
                process.elector.failed(now, pause);
                self.adrift.push(request);
            }
            (None, _) => process.request = Some(request),
        }
    }

    /// Ends a process in order: it stops leading before its last request is sent.
    fn release(&mut self, index: usize, tick: u64) {
        let process = &self.processes[index];
        if process.request.is_none() && process.elector.until().is_some() {
            let write = Some((String::new(), process.version.clone()));
            self.send(index, tick, write);
            self.restart(index, tick);
        }
    }

    fn restart(&mut self, index: usize, tick: u64) {
        let (zero, starts) = (self.processes[index].zero, tick + 1 + self.roll(10));
        let ended = std::mem::replace(
            &mut self.processes[index],
            Process::new(index, starts, zero),
        );
        self.adrift.extend(ended.request);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn never_do_two_lead_at_once(dice in 1_u64.., skew in 0_u64..100_000) {
        let (_, zero) = elector();
        let mut model = Model {
            processes: [Process::new(0, 0, zero), Process::new(1, 0, zero + seconds(skew))],
            lease: None,
            writes: 0,
            adrift: Vec::new(),
            dice,
            calm: false,
        };
        let mut leaders = 0;
        for tick in 0..TICKS + CALM_TICKS {
            model.calm = tick >= TICKS;
            model.turn(tick);
            leaders = model.processes.iter().filter(|process| process.leads(tick)).count();
            prop_assert!(leaders < 2, "two lead at tick {tick}");
        }
        prop_assert_eq!(leaders, 1, "nobody leads after two quiet minutes");
    }
}
