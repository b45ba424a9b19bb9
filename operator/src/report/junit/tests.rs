//! JUnit as writers of many languages write it, and as a hostile image might.

use super::*;

const MOST: i32 = 1000;

fn counts(text: &str) -> Result<[i32; 5], Unreadable> {
    let all = read(text.as_bytes(), MOST)?;
    Ok([all.tests, all.passed, all.failed, all.skipped, all.errored])
}

#[test]
fn counts_cases_and_not_what_the_suites_say() {
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="99" failures="0" errors="0" time="7">
  <testsuite name="customer" tests="1" failures="0">
    <properties><property name="host" value="a"/></properties>
    <testcase classname="crm.Login" name="logs in" time="1.5"/>
    <testcase classname="crm.Login" name="logs out" time="0.0125"><failure message="expected &lt;200&gt;" type="assert">trace</failure></testcase>
    <system-out><![CDATA[<testcase name="not one"/>]]></system-out>
  </testsuite>
  <testsuite name="sales">
    <testsuite name="nested">
      <testcase name="sells" time="1,000"><error>it &amp; all
of it is &#x67;one</error><system-err>x</system-err></testcase>
      <testcase name="later"><skipped/></testcase>
      <testcase name="DISABLED_Test" status="notrun" time="x"/>
    </testsuite>
  </testsuite>
</testsuites>"#;
    assert_eq!(counts(text).unwrap(), [5, 1, 1, 2, 1]);
    let all = read(text.as_bytes(), MOST).unwrap();
    assert_eq!(all.duration_milliseconds, 1_001_513);
    let failures: Vec<_> = all
        .first_failures
        .iter()
        .map(|case| (case.name.as_str(), case.message.as_str()))
        .collect();
    assert_eq!(
        failures,
        [
            ("crm.Login logs out", "expected <200>"),
            ("sells", "it & all\nof it is gone"),
        ]
    );
}

#[test]
fn a_single_suite_or_none_is_a_report_too() {
    let one = "\u{feff}<testsuite><testcase name='a'/></testsuite>";
    assert_eq!(counts(one).unwrap(), [1, 1, 0, 0, 0]);
    assert_eq!(counts("<testsuites/>").unwrap(), [0; 5]);
    assert_eq!(counts("<testsuite tests='5'></testsuite>").unwrap(), [0; 5]);
}

#[test]
fn a_case_fails_once_and_stays_failed() {
    let both = "<testsuite><testcase name='a'><skipped/><failure message='one'/><error message='two'/><skipped/></testcase></testsuite>";
    assert_eq!(counts(both).unwrap(), [1, 0, 1, 0, 0]);
    let all = read(both.as_bytes(), MOST).unwrap();
    assert_eq!(all.first_failures[0].message, "one");
    let rerun =
        "<testsuite><testcase name='a'><flakyFailure message='once'/></testcase></testsuite>";
    assert_eq!(counts(rerun).unwrap(), [1, 1, 0, 0, 0]);
}

#[test]
fn what_is_no_whole_report_is_not_counted() {
    let case = "<testsuite><testcase name='a'/>";
    let refused = [
        (case.to_owned(), Unreadable::Truncated),
        (String::new(), Unreadable::Empty),
        ("<!-- a -->".to_owned(), Unreadable::Empty),
        (
            "<coverage><testcase name='a'/></coverage>".to_owned(),
            Unreadable::Root("coverage".into()),
        ),
        (
            format!("{case}</testsuite><testsuite/>"),
            Unreadable::Trailing,
        ),
        (format!("{case}</testsuite> and more"), Unreadable::Trailing),
        ("words <testsuite/>".to_owned(), Unreadable::Trailing),
        (
            "<testsuite><error message='no setup'/></testsuite>".to_owned(),
            Unreadable::Misplaced("error".into()),
        ),
        (
            "<testsuite><properties><testcase/></properties></testsuite>".to_owned(),
            Unreadable::Misplaced("testcase".into()),
        ),
        (
            "<testsuite><testcase><testcase/></testcase></testsuite>".to_owned(),
            Unreadable::Misplaced("testcase".into()),
        ),
        (
            format!("<testsuite>{}", "<a>".repeat(100)),
            Unreadable::Deep,
        ),
        (
            format!("<testsuite>{}</testsuite>", "<testcase/>".repeat(1001)),
            Unreadable::Cases(MOST),
        ),
    ];
    for (text, why) in refused {
        assert_eq!(counts(&text), Err(why), "{text}");
    }
}

#[test]
fn what_is_not_well_formed_is_not_counted() {
    for text in [
        "<testsuite><testcase></testsuite></testcase>",
        "<testsuite><testcase name='a' name='b'/></testsuite>",
        "<testsuite><testcase name=a/></testsuite>",
        "<testsuite><testcase name='&nothing;'/></testsuite>",
        "<testsuite><testcase name='a'",
        "<testsuite><![CDATA[",
        "</testsuite>",
        "<testsuite>a & b</testsuite>",
    ] {
        let found = counts(text);
        assert!(
            matches!(found, Err(Unreadable::Malformed(_))),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn no_entity_of_a_file_is_expanded() {
    let bomb = r#"<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>"#;
    assert_eq!(counts(bomb), Err(Unreadable::DocumentType));
    let outside = r#"<!DOCTYPE b SYSTEM "file:///etc/passwd"><testsuite/>"#;
    assert_eq!(counts(outside), Err(Unreadable::DocumentType));
    let undefined = "<testsuite><system-out>&b;</system-out></testsuite>";
    assert_eq!(counts(undefined), Err(Unreadable::Entity("b".into())));
}

#[test]
fn another_encoding_is_not_guessed() {
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><testsuite><testcase name='\xe4'/></testsuite>";
    assert_eq!(read(latin, MOST), Err(Unreadable::Encoding));
    let wide: Vec<u8> = "<testsuite/>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(read(&wide, MOST).is_err());
}

#[test]
fn only_the_first_failures_are_kept_and_cut_without_cutting_a_letter() {
    let long = "ä".repeat(5000);
    let case = format!("<testcase name='{long}'><failure>{long}<b/>{long}</failure></testcase>");
    let text = format!("<testsuite>{}</testsuite>", case.repeat(20));
    let all = read(text.as_bytes(), MOST).unwrap();
    assert_eq!((all.failed, all.first_failures.len()), (20, FAILURES_TOLD));
    let told = &all.first_failures[0];
    assert_eq!(told.name.chars().count(), NAME_LIMIT + 3);
    assert_eq!(told.message.chars().count(), MESSAGE_LIMIT + 3);
}
