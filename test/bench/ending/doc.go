// Package ending ends servers by SIGTERM while publishers publish as fast as they are answered, and
// counts what was acknowledged and did not arrive.
//
// A subscriber that the server has told to come back must have had every event that was answered
// with 200 before. It starts a goroutine per publisher, which ends with the server; Measure joins
// them.
package ending
