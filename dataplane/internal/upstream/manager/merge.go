package manager

import "time"

// mergeWindow holds back changes of health, weight and metadata
// (common_lb_config.update_merge_window): the first is applied at once, those
// that follow within the window together, a window later. Added and removed
// hosts are applied at once, and what was held back with them.
type mergeWindow struct {
	cancel func()
	last   time.Time
}

// changed applies or holds back a change of hosts that are there.
func (w *mergeWindow) changed(c *cluster) {
	window := c.cfg.LB.UpdateMergeWindow
	if window <= 0 {
		w.replace(c, false)
		return
	}
	main := c.m.cfg.Stats.Main()
	if c.m.cfg.Control.Clock().Now().Sub(w.last) > window {
		if c.warm {
			c.m.group.Counter(outOfMergeWindow).Inc(main)
		}
		w.replace(c, false)
		return
	}
	c.membership()
	if w.cancel != nil {
		return
	}
	w.cancel = c.m.cfg.After(window, func() {
		w.cancel = nil
		w.last = c.m.cfg.Control.Clock().Now()
		if !c.gone {
			c.m.group.Counter(updatedViaMerge).Inc(main)
			c.publish(false)
		}
	})
}

// replace applies a change at once.
func (w *mergeWindow) replace(c *cluster, prune bool) {
	main := c.m.cfg.Stats.Main()
	if w.cancel != nil {
		w.stop()
		c.m.group.Counter(mergeCancelled).Inc(main)
	}
	if c.warm {
		c.m.group.Counter(clusterUpdated).Inc(main)
		w.last = c.m.cfg.Control.Clock().Now()
	}
	c.publish(prune)
}

func (w *mergeWindow) stop() {
	if w.cancel != nil {
		w.cancel()
		w.cancel = nil
	}
}
