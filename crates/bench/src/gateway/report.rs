use crate::cores::Cores;
use crate::machine::Machine;
use crate::report::{Report, count, millis};

use super::contestant::Contestant;

/// Prints what was measured. The first contestant is no gateway, the second is ours.
pub(crate) fn print(machine: Machine, cores: &Cores, contestants: &[Contestant], left_out: &[String]) {
    let mut report = Report::new("Gateway: a chat call passed through, 32 tokens", machine);
    let Some((direct, gateways)) = contestants.split_first() else { return };
    report.row("direct, whole, 1 connection", both(direct, "whole"), "");
    report.row("direct, prompt of 100 KB, 1 connection", both(direct, "long"), "");
    report.row("direct, streamed, 1 connection", both(direct, "streamed"), "");
    report.row("direct, calls/s", rates(direct), "");
    for gateway in gateways {
        let name = &gateway.name;
        let is_ours = name == "Raincheck";
        let wanted = |text: &'static str| if is_ours { text } else { "" };
        report.row(format!("{name}, whole, added"), added(gateway, direct, "whole"), wanted("p50 < 1 ms"));
        report.row(format!("{name}, prompt of 100 KB, added"), added(gateway, direct, "long"), "");
        report.row(format!("{name}, first byte of a stream, added"), added(gateway, direct, "first"), "");
        report.row(format!("{name}, end of a stream, added"), added(gateway, direct, "streamed"), wanted("p50 < 1 ms"));
        report.row(format!("{name}, calls/s"), rates(gateway), "");
        report.row(format!("{name}, processes"), processes(gateway), "");
    }
    let ours = gateways.iter().find(|gateway| gateway.name == "Raincheck");
    for rival in gateways.iter().filter(|gateway| gateway.name != "Raincheck") {
        let ratio = |load| ours.map_or(f64::NAN, |ours| ours.figures.ratio(load, &rival.figures));
        let wanted = if rival.name.starts_with("LiteLLM") { "≥ 10 ×" } else { "" };
        let [sixteen, many, streamed] = ["whole_16", "whole_64", "streamed_16"].map(ratio);
        let ratios = format!("16 connections {sixteen:.1} ×, 64 {many:.1} ×, streamed {streamed:.1} ×");
        report.row(format!("Raincheck ÷ {}, calls/s", rival.name), ratios, wanted);
    }
    report.note(format!("{}; all but Portkey ask for a key, none keeps a log of requests.", cores.told()));
    report.note("Added is the difference of the medians (of the 99th percentiles) of calls made in turn.");
    report.note("Raincheck's upstream takes 1,024 calls at once; its adaptive limit begins with 4 and would be what is measured.");
    report.note(
        "LiteLLM has a worker for each of its cores, no database and no Redis; at its fastest it runs behind Granian and is \
         called by its pass-through route.",
    );
    left_out.iter().for_each(|why| report.note(why));
    for contestant in contestants {
        report.data(&contestant.name, contestant.figures.json());
    }
    report.print();
}

fn names(what: &str) -> [String; 2] {
    ["p50", "p99"].map(|quantile| format!("{what}_{quantile}_us"))
}

fn both(contestant: &Contestant, what: &str) -> String {
    let [p50, p99] = names(what).map(|name| millis(contestant.figures.median(&name)));
    format!("p50 {p50}, p99 {p99}")
}

fn added(gateway: &Contestant, direct: &Contestant, what: &str) -> String {
    let [p50, p99] = names(what).map(|name| millis(gateway.figures.difference(&name, &direct.figures)));
    format!("p50 {p50}, p99 {p99}")
}

fn rates(contestant: &Contestant) -> String {
    let rate = |name: &str| count(contestant.figures.median(name));
    let (one, many, streamed) = (rate("whole_16"), rate("whole_64"), rate("streamed_16"));
    let failed = count(contestant.figures.sum("bad"));
    format!("16 connections {one}/s, 64 {many}/s, streamed (16) {streamed}/s; {failed} failed")
}

fn processes(contestant: &Contestant) -> String {
    let figures = &contestant.figures;
    let [whole, streamed] = ["whole_16_cpu_us", "streamed_16_cpu_us"].map(|name| count(figures.median(name)));
    let measuring = figures.median("whole_16_measuring");
    let mebibytes = figures.last("resident_bytes") / f64::from(1 << 20);
    format!(
        "{whole} µs of CPU a call, streamed {streamed} µs; {mebibytes:.0} MiB; simulator and load took {measuring:.2} cores"
    )
}
