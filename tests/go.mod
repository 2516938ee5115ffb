module github.com/hawser-mesh/hawser/tests

go 1.26

require (
	github.com/hawser-mesh/hawser/proto v0.0.0
	github.com/hawser-mesh/hawser/services v0.0.0
)

replace (
	github.com/hawser-mesh/hawser/proto => ../proto
	github.com/hawser-mesh/hawser/services => ../services
)
