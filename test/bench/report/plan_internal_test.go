package report

import (
	"reflect"
	"testing"
)

// A quick report leaves nothing out: else a part that does not work would go unnoticed.
func TestAQuickPlanDoesSomethingOfEverything(t *testing.T) {
	t.Parallel()
	compare(t, "plan", reflect.ValueOf(newPlan(false)), reflect.ValueOf(newPlan(true)))
}

func compare(t *testing.T, name string, whole, quick reflect.Value) {
	t.Helper()
	if whole.Kind() != reflect.Struct {
		if quick.IsZero() && !whole.IsZero() {
			t.Errorf("%s is 0 in a quick plan", name)
		}
		return
	}
	for i := range whole.NumField() {
		compare(t, name+"."+whole.Type().Field(i).Name, whole.Field(i), quick.Field(i))
	}
}
