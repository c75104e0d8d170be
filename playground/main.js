// Starts GraphiQL on our own endpoint, with operations in tabs whose ids work in the sample shop.
const examples = [
  `query UserWithOrders {
  user(id: "customer-2") {
    name
    recentOrders(limit: 5) {
      orderId
      amount
      placedAt
      payment { status settledAt }
    }
  }
}`,
  `query OrderWithUser {
  order(id: "invoice-20") {
    amount
    user { name }
    payment { status }
  }
}`,
  `query UsersBatch {
  usersById(ids: ["customer-2", "customer-59"]) {
    name
    recentOrders { orderId amount }
  }
}`,
  `query InventoryItem {
  inventory(sku: "track-2") { quantity }
}`,
];

ReactDOM.createRoot(document.getElementById('graphiql')).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: '/graphql' }),
    defaultTabs: examples.map((query) => ({ query })),
  }),
);
