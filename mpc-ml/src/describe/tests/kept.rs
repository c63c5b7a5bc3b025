//! Single columns of words with small counts kept back.

use super::*;

/// Where no tables may be released single columns are, but for small counts and one beside each; sums are not.
#[test]
fn single_columns_are_released_with_small_counts_kept_back() {
    let asked = DescribeSettings { keep_back: true, ..settings(None, 20) };
    let _ = RELEASED.with(Labels::take);
    for result in described(3, Origin::Pairwise, &asked) {
        let result = result.expect("runs").expect("for all");
        assert_eq!((result.groups.len(), result.columns.len(), result.kept.len()), (1, 0, 4));
        let site = &result.kept[1];
        assert_eq!((site.name.as_str(), site.levels.len()), ("site", 3));
        // The west has fewer than 20 rows at some party; the north is kept back beside it.
        let told: Vec<bool> = site.levels.iter().map(|(_, count)| count.is_some()).collect();
        assert_eq!(told, [false, true, false]);
        let south = site.levels[1].1.expect("told");
        assert_eq!(south + site.together, result.groups[0].1);
        let text = result.to_string();
        assert!(text.contains("kept back") && text.contains("single columns"), "{text}");
    }
    assert_eq!(RELEASED.with(Labels::take), [WITHHELD, KEPT, COUNTS]);
    let plan = |asked: &DescribeSettings| {
        DescribePlan::new(asked, &columns(), &[9, 9], Recipients::All, Origin::Pairwise)
    };
    let outputs = plan(&asked).expect("fits").outputs();
    assert!(outputs.iter().any(|output| output.label == KEPT));
    let threshold = ThresholdRule { least: 2, ..ThresholdRule::default() };
    let low = plan(&DescribeSettings { threshold, ..asked }).expect_err("refused").to_string();
    assert!(low.contains("keep_back") && low.contains("from 3 on"), "{low}");
}
