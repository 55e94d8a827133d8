// The promises that all tests hold the system against. The first of two limits is the floor, the second is ours.

export const LATENCY = ["p(95)<200", "p(99)<500", "p(95)<20", "p(99)<50"];
export const TREND_STATS = ["avg", "min", "med", "p(95)", "p(99)", "max"];

/**
 * @param {string} scenario
 * @returns {Record<string, string[]>}
 */
export const requestThresholds = (scenario) => ({
  [`http_req_duration{scenario:${scenario}}`]: LATENCY,
  // Beyond capacity some requests are refused: what is served is still served in time.
  [`http_req_duration{scenario:${scenario},expected_response:true}`]: ["p(99)<500"],
  [`http_req_failed{scenario:${scenario}}`]: ["rate<0.001"],
  checks: ["rate>0.999"],
});
