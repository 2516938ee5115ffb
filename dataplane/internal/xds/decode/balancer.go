package decode

import (
	"errors"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	leastv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	randomv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	robinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

func (d *Decoder) balancer(m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) error {
	common := m.GetCommonLbConfig()
	lb := &c.LB
	*lb = config.LoadBalancer{
		ChoiceCount: 2, ActiveRequestBias: 1, PanicThreshold: defaultPanic,
		UpdateMergeWindow: duration(common.GetUpdateMergeWindow(), defaultMergeWindow),
		LocalityWeighted:  common.GetLocalityWeightedLbConfig() != nil, IgnoreNewUntilHC: common.GetIgnoreNewHostsUntilFirstHc(),
		FailOnPanic: common.GetZoneAwareLbConfig().GetFailTrafficOnPanic(),
	}
	if common.GetHealthyPanicThreshold() != nil {
		lb.PanicThreshold = common.GetHealthyPanicThreshold().GetValue()
	}
	if l := m.GetLeastRequestLbConfig(); l != nil {
		lb.ChoiceCount = u32(l.GetChoiceCount(), 2)
		bias(lb, l.GetActiveRequestBias())
	}
	if l := m.GetLoadBalancingPolicy(); l != nil {
		return d.policies(l, lb, p.Field("load_balancing_policy.policies"))
	}
	switch m.GetLbPolicy() {
	case clusterv3.Cluster_ROUND_ROBIN:
	case clusterv3.Cluster_LEAST_REQUEST:
		lb.Policy = config.PolicyLeastRequest
	case clusterv3.Cluster_RANDOM:
		lb.Policy = config.PolicyRandom
	default:
		return p.Field("lb_policy").Errorf("the value %s is not supported", m.GetLbPolicy())
	}
	return nil
}

func bias(lb *config.LoadBalancer, b *corev3.RuntimeDouble) {
	if b != nil {
		lb.ActiveRequestBias = b.GetDefaultValue()
	}
}

// policies takes the first policy that is known, as Envoy does.
func (d *Decoder) policies(m *clusterv3.LoadBalancingPolicy, lb *config.LoadBalancer, p fieldpath.Path) error {
	var names []string
	for i, x := range m.GetPolicies() {
		e := x.GetTypedExtensionConfig()
		at := p.Index(i).Field("typed_extension_config.typed_config")
		a, err := typed(e.GetTypedConfig(), at)
		if errors.Is(err, errUnknownType) {
			names = append(names, e.GetName())
			continue
		}
		if err != nil {
			return err
		}
		known, err := policy(a, lb, at)
		if known || err != nil {
			return err
		}
		names = append(names, e.GetName())
	}
	return p.Errorf("Didn't find a registered load balancer factory implementation for cluster with names from %q", names)
}

func policy(a *anypb.Any, lb *config.LoadBalancer, p fieldpath.Path) (known bool, err error) {
	switch a.MessageName() {
	case "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin":
		m := new(robinv3.RoundRobin)
		lb.Policy = config.PolicyRoundRobin
		err = support.Unpack(a, m, p)
		localityPolicy(m.GetLocalityLbConfig(), lb)
	case "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest":
		m := new(leastv3.LeastRequest)
		lb.Policy = config.PolicyLeastRequest
		err = support.Unpack(a, m, p)
		lb.ChoiceCount = u32(m.GetChoiceCount(), 2)
		bias(lb, m.GetActiveRequestBias())
		localityPolicy(m.GetLocalityLbConfig(), lb)
	case "envoy.extensions.load_balancing_policies.random.v3.Random":
		m := new(randomv3.Random)
		lb.Policy = config.PolicyRandom
		err = support.Unpack(a, m, p)
		localityPolicy(m.GetLocalityLbConfig(), lb)
	default:
		return false, nil
	}
	return true, err
}

func localityPolicy(m *commonv3.LocalityLbConfig, lb *config.LoadBalancer) {
	lb.LocalityWeighted = m.GetLocalityWeightedLbConfig() != nil
	lb.FailOnPanic = m.GetZoneAwareLbConfig().GetFailTrafficOnPanic()
}

// breakers decodes circuit_breakers: the first thresholds of a priority count.
func (d *Decoder) breakers(m *clusterv3.Cluster, c *config.Cluster, p fieldpath.Path) error {
	for i := range c.Breakers {
		c.Breakers[i] = config.BreakerLimits{
			MaxConnections: defaultBreaker, MaxPending: defaultBreaker, MaxRequests: defaultBreaker, MaxRetries: defaultRetryBreaker, MaxPools: ^uint32(0),
		}
	}
	var seen [2]bool
	for i, t := range m.GetCircuitBreakers().GetThresholds() {
		n := config.PriorityDefault
		if t.GetPriority() == corev3.RoutingPriority_HIGH {
			n = config.PriorityHigh
		}
		if seen[n] {
			return p.Field("circuit_breakers.thresholds").Index(i).Errorf("the priority %s stands twice", t.GetPriority())
		}
		seen[n] = true
		b := &c.Breakers[n]
		b.MaxConnections = u32(t.GetMaxConnections(), b.MaxConnections)
		b.MaxPending = u32(t.GetMaxPendingRequests(), b.MaxPending)
		b.MaxRequests = u32(t.GetMaxRequests(), b.MaxRequests)
		b.MaxRetries = u32(t.GetMaxRetries(), b.MaxRetries)
		b.MaxPools = u32(t.GetMaxConnectionPools(), b.MaxPools)
		b.TrackRemaining = t.GetTrackRemaining()
		if r := t.GetRetryBudget(); r != nil {
			b.RetryBudget = &config.RetryBudget{Percent: defaultBudget, MinConcurrency: u32(r.GetMinRetryConcurrency(), defaultBudgetMin)}
			if r.GetBudgetPercent() != nil {
				b.RetryBudget.Percent = r.GetBudgetPercent().GetValue()
			}
		}
	}
	return nil
}
