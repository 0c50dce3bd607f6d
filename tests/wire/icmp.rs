//! Echoes of this machine itself, where it lets us ask.

use firedrill::event::Outcome;
use rstest::rstest;

use super::rehearsal::Folder;

#[rstest]
#[case::four("127.0.0.1")]
#[case::six("::1")]
#[ignore = "needs the right to send ICMP"]
#[tokio::test]
async fn this_machine_answers_itself(#[case] host: &str) {
    let steps = format!(
        "- icmp: {{ host: '{host}', count: 4, interval: 20ms, size: 100 }}
  expect: {{ loss: at most 0%, latency: under 1s, phases: {{ exchange: at least 60ms }} }}"
    );
    let run = Folder::new(&format!("icmp_{}", host.len())).run(&steps, &[]).await;
    assert_eq!(run.failures(), Vec::<String>::new());
    assert_eq!(run.outcomes(), [Outcome::Passed]);
    assert_eq!(run.attempts()[0].1.exchange.len(), 4);
}

#[rstest]
#[case::not_a_host("'a b'", "policy: `a b` is not a host: ")]
#[case::no_address("nobody.invalid", "dns: `nobody.invalid` does not resolve: ")]
#[tokio::test]
async fn a_host_that_is_none_fails_before_anything_is_sent(#[case] host: &str, #[case] failure: &str) {
    let run = Folder::new(&format!("icmp_none_{}", host.len()))
        .run(&format!("- icmp: {{ host: {host} }}"), &[])
        .await;
    assert!(run.failures()[0].starts_with(failure), "{:?}", run.failures());
}
