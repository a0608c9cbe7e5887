"""Carriers of the policies on grpc.aio: one chain a side, for all four RPC shapes. They decide nothing."""
