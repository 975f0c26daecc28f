//! Numbers of CloudWatch's.

use anyhow::{Context as _, Result};
use aws_types::SdkConfig;

use crate::page::Time;
use crate::query_api::QueryApi;

/// The sum of a metric between two times, in Unix milliseconds.
///
/// # Errors
///
/// When CloudWatch does not answer.
pub(crate) async fn sum_of_metric(
    sdk: &SdkConfig,
    namespace: &str,
    metric: &str,
    dimension: (&str, &str),
    from: i64,
    to: i64,
) -> Result<i64> {
    let points = points_of(sdk, namespace, metric, dimension, from, to, "Sum").await?;
    Ok(points.iter().map(|(_, value)| value).sum())
}

/// The newest maximum of a metric between two times, in Unix milliseconds; none where nothing was counted.
///
/// # Errors
///
/// When CloudWatch does not answer.
pub(crate) async fn newest_of_metric(
    sdk: &SdkConfig,
    namespace: &str,
    metric: &str,
    dimension: (&str, &str),
    from: i64,
    to: i64,
) -> Result<Option<i64>> {
    let points = points_of(sdk, namespace, metric, dimension, from, to, "Maximum").await?;
    Ok(points.into_iter().max().map(|(_, value)| value))
}

/// The minutes of a metric: when, and how much.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html>
async fn points_of(
    sdk: &SdkConfig,
    namespace: &str,
    metric: &str,
    (dimension, value): (&str, &str),
    from: i64,
    to: i64,
    statistic: &str,
) -> Result<Vec<(String, i64)>> {
    let (from, to) = (Time(from).to_string(), Time(to).to_string());
    let form = [
        ("Action", "GetMetricStatistics"),
        ("Version", "2010-08-01"),
        ("Namespace", namespace),
        ("MetricName", metric),
        ("Dimensions.member.1.Name", dimension),
        ("Dimensions.member.1.Value", value),
        ("StartTime", &from),
        ("EndTime", &to),
        ("Period", "60"),
        ("Statistics.member.1", statistic),
    ];
    let answer = QueryApi::of("monitoring", sdk)?.call(&form).await?;
    points_in(&answer, statistic)
}

fn points_in(answer: &str, statistic: &str) -> Result<Vec<(String, i64)>> {
    let document = roxmltree::Document::parse(answer).context("CloudWatch's answer is not XML")?;
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.tag_name().name() == name)?;
        child.text().map(str::to_owned)
    };
    let points = document.descendants().filter_map(|node| {
        let value = text(node, statistic)?.split('.').next()?.parse().ok()?;
        Some((text(node, "Timestamp")?, value))
    });
    Ok(points.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_points_of_a_metric() {
        let answer = "<R><Datapoints><member><Timestamp>2026-11-21T03:01:00Z</Timestamp><Maximum>61.0</Maximum></member>\
                      <member><Maximum>7.0</Maximum><Timestamp>2026-11-21T03:00:00Z</Timestamp></member></Datapoints></R>";
        let points = points_in(answer, "Maximum").unwrap();
        assert_eq!(points.iter().max().unwrap().1, 61);
        assert_eq!(points.iter().map(|(_, value)| value).sum::<i64>(), 68);
        assert_eq!(points_in("<R><Datapoints/></R>", "Maximum").unwrap(), []);
    }
}
