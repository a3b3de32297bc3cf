use std::num::NonZeroUsize;

use super::*;

fn slots(total: usize, per_address: usize) -> Slots {
    Slots::new(ConnectionLimits {
        total: NonZeroUsize::new(total).unwrap(),
        per_address: NonZeroUsize::new(per_address),
        proxies: vec!["10.0.0.0/8".parse().unwrap()],
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn ipv6_is_counted_by_its_network_and_mapped_ipv4_as_itself() {
    let slots = slots(100, 1);
    let (one, two) = (slots.take(address("2001:db8::1")).unwrap(), slots.take(address("10.0.0.1")));
    one.begin_exchange();
    assert!(slots.take(address("2001:db8::2")).is_none());
    assert!(slots.take(address("2001:db8:0:1::1")).is_some());
    let four = slots.take(address("192.0.2.1")).unwrap();
    four.begin_exchange();
    assert!(slots.take(address("::ffff:192.0.2.1")).is_none());
    // A proxy has no share of its own.
    assert!(slots.take(address("10.0.0.1")).is_some() && two.is_some());
}

/// The control is a site of its own, which has room.
#[test]
fn a_site_with_many_ipv6_networks_has_a_share_of_its_own() {
    for (total, per_address, of_site) in [(100, 3, 6), (8, 4, 4)] {
        let slots = slots(total, per_address);
        let busy: Vec<_> = (0..100)
            .map_while(|network| slots.take(address(&format!("2001:db8:0:{network}::1"))))
            .inspect(|slot| slot.begin_exchange())
            .collect();
        assert_eq!(busy.len(), of_site);
        assert!(slots.take(address("2001:db8:1::1")).is_some());
        // A connection that waits makes room for the next of its site.
        busy[0].end_exchange();
        assert!(slots.take(address("2001:db8:0:ffff::1")).is_some());
        assert!(busy[0].is_closing());
        drop(busy);
        assert!(slots.0.table().by_client.is_empty());
    }
}

#[test]
fn each_connection_over_the_share_closes_one_that_waits() {
    let slots = slots(100, 2);
    let peer = address("192.0.2.1");
    let first = slots.take(peer).unwrap();
    let second = slots.take(peer).unwrap();
    let third = slots.take(peer).unwrap();
    assert!(first.is_closing() && !second.is_closing());
    let fourth = slots.take(peer).unwrap();
    assert!(second.is_closing() && !third.is_closing());
    // Those that go make room for themselves alone.
    drop((first, second));
    third.begin_exchange();
    fourth.begin_exchange();
    assert!(slots.take(peer).is_none());
    drop((third, fourth));
    assert!(slots.0.table().open.is_empty() && slots.0.table().by_client.is_empty());
}

#[tokio::test]
async fn room_is_made_by_one_connection_at_a_time() {
    let slots = slots(2, 100);
    let peer = address("192.0.2.1");
    let mut open: Vec<_> = (0..3).map(|_| slots.take(peer).unwrap()).collect();
    let mut room = Box::pin(slots.room());
    assert!(futures_util::poll!(&mut room).is_pending());
    assert!(futures_util::poll!(&mut room).is_pending());
    let closing: Vec<_> = open.iter().map(|slot| slot.is_closing()).collect();
    assert_eq!(closing, [true, false, false]);
    drop(open.remove(0));
    room.await;
    slots.room().await;
}

#[tokio::test]
async fn room_waits_for_a_busy_connection_to_become_idle() {
    let slots = slots(1, 100);
    let peer = address("192.0.2.1");
    let (first, newest) = (slots.take(peer).unwrap(), slots.take(peer).unwrap());
    first.begin_exchange();
    newest.begin_exchange();
    let mut room = Box::pin(slots.room());
    assert!(futures_util::poll!(&mut room).is_pending());
    assert!(!first.is_closing());
    first.end_exchange();
    assert!(futures_util::poll!(&mut room).is_pending());
    assert!(first.is_closing() && !newest.is_closing());
    drop(first);
    room.await;
}
