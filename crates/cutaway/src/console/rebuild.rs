//! What is seen of the cluster, as a situation that the lab can rebuild.

use lab::rebuild::{Rebuilt, Seen, rebuild};
use serde_json::{Value, json};
use web::url::{Shown, fragment};

/// Gateways that the lab's cluster gets at most: they know nobody there.
const GATEWAYS_MAX: usize = 2;

/// A schedule that leads to what `members` show of a shard: as the fragment of the lab's address; with what it carries over,
/// and what not.
pub fn answer(members: &Value) -> Result<Value, String> {
    let members = members.as_array().map(Vec::as_slice).unwrap_or_default();
    let is = |member: &&Value, kind| member["name"].as_str().is_some_and(|name| name.starts_with(kind));
    let nodes: Vec<Seen> = members.iter().filter(|member| is(member, 'n')).map(seen).collect();
    let gateways = members.iter().filter(|member| is(member, 'g')).count();
    let Rebuilt { schedule, carried, left } = rebuild(&nodes, gateways.min(GATEWAYS_MAX))?;
    let fragment = fragment(&Shown { schedule, without: Vec::new() });
    Ok(json!({ "fragment": fragment, "carried": carried, "not_carried": left }))
}

fn seen(member: &Value) -> Seen {
    let looks = &member["looks"];
    let number = |name: &str| looks[name].as_u64().unwrap_or(0);
    let last = number("last");
    let runs: Vec<(u64, u64)> = serde_json::from_value(looks["runs"].clone()).unwrap_or_default();
    let end = |at: usize| runs.get(at + 1).map_or(last + 1, |(from, _)| *from);
    let cells =
        |(at, (from, epoch)): (usize, &(u64, u64))| (*from..end(at)).map(|seq| (seq, *epoch)).collect();
    let away = [("pid", "down"), ("paused", "paused"), ("isolated", "cut off")];
    let away =
        away.iter().find(|(what, _)| member[what] == true || (*what == "pid" && member[what].is_null()));
    Seen {
        role: looks["role"].as_str().unwrap_or("backup").into(),
        promised: number("promised"),
        base: number("base"),
        log: runs.iter().enumerate().flat_map(|run| -> Vec<_> { cells(run) }).collect(),
        last,
        away: away.map(|(_, why)| why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_members_show_becomes_a_schedule_of_the_lab() {
        let shows = |role: &str, promised: u64, last: u64, runs: Value| json!({ "role": role, "promised": promised, "base": 0, "last": last, "runs": runs });
        let members = json!([
            { "name": "g1", "pid": 9, "looks": {} },
            { "name": "n1", "pid": null, "looks": shows("primary", 1, 3, json!([[1, 1]])) },
            { "name": "n2", "pid": 2, "looks": shows("primary", 2, 4, json!([[1, 1], [4, 2]])) },
            { "name": "n3", "pid": 3, "looks": shows("backup", 2, 4, json!([[1, 1], [4, 2]])) },
        ]);
        let told = answer(&members).unwrap();
        assert!(
            told["fragment"].as_str().unwrap().starts_with(
                "s=cluster+3;gateways+1;write+1+to+n1;calm;cut+n1+n2;cut+n1+n3;takeover+n2+above+1"
            ),
            "{told}"
        );
        assert_eq!(told["carried"].as_array().unwrap().len(), 3, "{told}");
        assert!(
            told["not_carried"]
                .as_array()
                .unwrap()
                .contains(&json!("n1 is down there; here its links are cut")),
            "{told}"
        );
        assert!(answer(&Value::Null).is_err());
    }
}
